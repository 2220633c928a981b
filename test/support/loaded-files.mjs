/**
 * For `node --import`: writes each file that the process loads, and how Node reads it, to the file that `LOADED_FILES` names. With
 * `WITHOUT_HOOKS`, the program may register no hooks of its own.
 */
import { writeFileSync } from 'node:fs'
import module from 'node:module'

const loaded = new Map()

module.registerHooks({
  load(url, context, next) {
    const result = next(url, context)
    loaded.set(url, result.format)
    return result
  },
})
if (process.env.WITHOUT_HOOKS) module.registerHooks = undefined
process.on('exit', () => writeFileSync(process.env.LOADED_FILES, JSON.stringify([...loaded])))
