/** One program has one application that its types know: in the suite it is this one. */
declare module '../../../src/application/register.ts' {
  interface Register {
    tables: typeof import('./tables.ts')
  }
}
