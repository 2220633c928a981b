/** A program can register the types of one application. In this suite it is this application. */
declare module '../../../src/application/register.ts' {
  interface Register {
    tables: typeof import('./tables.ts')
  }
}
