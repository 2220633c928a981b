import type { SeededFault } from './seeded-fault.ts'

const TOKENS = ['test/http/issuer-tokens.test.ts']
const EXTERNAL_IDS = ['test/http/external-ids.test.ts']

const NAMES: readonly SeededFault[] = [
  {
    name: 'a lockout is dodged by another spelling of the address',
    file: 'src/identity/people/names.ts',
    find: 'return composed(text.trim()).toLowerCase()',
    replace: 'return text.toLowerCase()',
    tests: ['test/unit/identity/names.test.ts', 'test/http/typed-names.test.ts'],
  },
  {
    name: "another letter becomes one of a tenant's code",
    file: 'src/identity/people/names.ts',
    find: 'text.trim().replaceAll(/[A-Z]+/g, (letters) => letters.toLowerCase())',
    replace: 'text.trim().toLowerCase()',
    tests: ['test/unit/identity/names.test.ts'],
  },
  {
    name: 'an address in the spelling of before is given to a second user',
    file: 'src/identity/people/people.ts',
    find: 'await assertEmailFree(reader, input.email, null)',
    replace: '',
    tests: ['test/http/typed-names.test.ts'],
  },
]

export const ISSUERS: readonly SeededFault[] = [
  {
    name: 'a directory may say that it is another one',
    file: 'src/identity/tokens/external-issuers.ts',
    find: 'tid === null || claims.tid !== tid',
    replace: 'tid === null',
    tests: TOKENS,
  },
  {
    name: "any claim of a stranger's directory may name the tenant",
    file: 'src/identity/tokens/external-settings.ts',
    find: "claims.some((claim) => claim !== 'tid')",
    replace: 'claims.length === 0',
    tests: ['test/unit/identity/external-settings.test.ts'],
  },
  {
    name: 'a key of one directory signs for all of them',
    file: 'src/identity/tokens/external-keys.ts',
    find: "return key.issuer.replaceAll('{tenantid}', directory.tid) === directory.iss",
    replace: 'return true',
    tests: TOKENS,
  },
  {
    name: 'the keys of any directory are asked for',
    file: 'src/identity/tokens/external-issuers.ts',
    find: 'if (isOfOne && !(await this.#options.isListed(issuer, tid)))',
    replace: 'if (tid !== null && tid.length > 999)',
    tests: TOKENS,
  },
  {
    name: 'something critical that is not understood is passed over',
    file: 'src/identity/tokens/external-issuers.ts',
    find: "if (Object.hasOwn(header, 'crit')) throw new TokenFault('something critical that is not understood')",
    replace: '',
    tests: TOKENS,
  },
  {
    name: 'a logout token is an access token',
    file: 'src/identity/tokens/external-issuers.ts',
    find: "return kind.endsWith('+jwt') && kind !== 'at+jwt'",
    replace: 'return false',
    tests: TOKENS,
  },
  {
    name: 'an external id that no tenant has listed is tried as a code',
    file: 'src/identity/callers/tenant-resolver.ts',
    find: "if (tenantBy === 'code') return this.#byName(name)",
    replace: "if (tenantBy === 'code' || name.length < 20) return this.#byName(name)",
    tests: ['test/unit/identity/tenant-resolver.test.ts', ...TOKENS],
  },
  {
    name: 'of several tenants any other may be picked',
    file: 'src/identity/callers/tenant-resolver.ts',
    find: "if (tenantBy === 'code') return tenants.some((name) => isNameOf(name, route))",
    replace: "if (tenantBy === 'code') return true",
    tests: ['test/unit/identity/tenant-resolver.test.ts'],
  },
  {
    name: "an external id leads to its tenant by another issuer's tokens",
    file: 'src/catalog/directory.ts',
    find: '  return `external:${issuer}\\n${id}`',
    replace: '  return `external:${issuer.length * 0}\\n${id}`',
    tests: ['test/unit/catalog/directory.test.ts'],
  },
  {
    name: 'an external id that was taken away leads on',
    file: 'src/lib/cache/fresh-cache.ts',
    find: 'if (this.#idByKey.get(key) === id) this.#idByKey.delete(key)',
    replace: '',
    tests: ['test/unit/catalog/directory.test.ts'],
  },
  {
    name: 'a claim is found on the prototype',
    file: 'src/identity/tokens/claims.ts',
    find: 'if (Object.hasOwn(object, name)) return name',
    replace: 'if (name in object) return name',
    tests: ['test/unit/identity/claims.test.ts'],
  },
  {
    name: 'a change of external ids is answered before all gateways know it',
    file: 'src/operations/create-operations.ts',
    find: '[patch.status, patch.parentId, patch.externalIds]',
    replace: '[patch.status, patch.parentId]',
    tests: EXTERNAL_IDS,
  },
  ...NAMES,
]
