/** How many files and sockets this process may have open at once; null where there is no limit, or none that is told. */
export function descriptorLimit(): number | null {
  // Its typings do not know the option yet.
  const report = process.report as NodeJS.ProcessReport & { excludeNetwork: boolean }
  const { excludeNetwork } = report
  // It would ask for the names of this machine's addresses.
  report.excludeNetwork = true
  const { userLimits } = report.getReport() as { userLimits?: { open_files?: { soft?: unknown } } }
  report.excludeNetwork = excludeNetwork
  const soft = userLimits?.open_files?.soft
  return typeof soft === 'number' ? soft : null
}
