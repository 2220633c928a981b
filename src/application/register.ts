/**
 * What an application tells of itself to the types. Augment it once, so that `request.tenant.db` knows the application's
 * tables everywhere:
 *
 *     declare module 'freehold' { interface Register { tables: typeof tables } }
 */
// biome-ignore lint/suspicious/noEmptyInterface: it is there to be augmented
export interface Register {}
