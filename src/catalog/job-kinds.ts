/** Whether a registered database can be its tenant's. The subject is the entry. */
export const VALIDATION = 'validation'
/** Wraps every data key anew under another master key. The subject is the rotation. */
export const KEY_ROTATION = 'key-rotation'
