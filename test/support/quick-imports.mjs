/** For `node --import`: makes the imports of a process as cheap as the command `freehold` makes its own. */

// npm may run on an older Node, which reads no TypeScript.
if (process.features.typescript) {
  const { shortenImports } = await import('../../src/cli/quick-start.ts')
  shortenImports()
}
