/**
 * For `node --import`: says that the files of drizzle-orm are ES modules. Otherwise Node parses the package.json of
 * drizzle-orm, 180 KB, for each of these files, which takes half of the processor time of a gateway's imports.
 */
import module from 'node:module'

const FOLDER = '/node_modules/drizzle-orm/'

// npm may run on an older Node that has no such hooks.
module.registerHooks?.({
  resolve(specifier, context, next) {
    const isInside = specifier.startsWith('.') && specifier.endsWith('.js')
    if (!isInside || !context.parentURL?.includes(FOLDER)) return next(specifier, context)
    return { url: new URL(specifier, context.parentURL).href, format: 'module', shortCircuit: true }
  },
})
