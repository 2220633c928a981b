/** How many files and sockets this process may have open at once; null if there is no limit or it is unknown. */
export function descriptorLimit(): number | null {
  // Node's typings do not have the option yet.
  const report = process.report as NodeJS.ProcessReport & { excludeNetwork: boolean }
  const { excludeNetwork } = report
  // Without this option the report looks up the names of this machine's addresses.
  report.excludeNetwork = true
  const { userLimits } = report.getReport() as { userLimits?: { open_files?: { soft?: unknown } } }
  report.excludeNetwork = excludeNetwork
  const soft = userLimits?.open_files?.soft
  return typeof soft === 'number' ? soft : null
}
