/**
 * Tells TypeScript which tables the application has. Augment it once, so that `request.tenant.db` has the right type everywhere:
 *
 *     declare module 'freehold' { interface Register { tables: typeof tables } }
 */
// biome-ignore lint/suspicious/noEmptyInterface: applications augment it
export interface Register {}
