/**
 * `npm install [--save-dev] NAMES…` in the working directory, without a registry: `node npm-install.ts TARBALL install NAMES…`. Without
 * names it installs what package.json declares.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { checkout } from './checkout.ts'
import { installPackage } from './package.ts'

const [tarball = '', , ...args] = process.argv.slice(2)
const list = args.includes('--save-dev') ? 'devDependencies' : 'dependencies'
const names = args.filter((arg) => !arg.startsWith('-'))
const manifest = JSON.parse(await readFile('package.json', 'utf8'))

for (const name of names) {
  const path = name === 'freehold' ? checkout : join(checkout, 'node_modules', name)
  const { version } = JSON.parse(await readFile(join(path, 'package.json'), 'utf8'))
  manifest[list] = { ...manifest[list], [name]: `^${version}` }
}
await writeFile('package.json', `${JSON.stringify(manifest, null, 2)}\n`)
await installPackage(process.cwd(), tarball)
