/** Checks whether a registered database can be the tenant database. The subject is the entry. */
export const VALIDATION = 'validation'
/** Brings a database's schema up to date. The subject is the entry, or `SHARED`. */
export const MIGRATION = 'migration'
export const SHARED = 'shared'
/** Wraps every data key again under another master key. The subject is the rotation. */
export const KEY_ROTATION = 'key-rotation'
