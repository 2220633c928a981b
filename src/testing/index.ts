/** The tools to test an application with. They work with any test runner. */
export { IsolationError, type Leak } from './isolation/isolation-error.ts'
export {
  type IsolationOptions,
  type IsolationProof,
  proveIsolation,
} from './isolation/prove-isolation.ts'
export type { Example, Examples, Own } from './isolation/resident.ts'

export type { Injector } from './serving.ts'
export type { NewTestTenant, TestGateway, TestGatewayOptions } from './test-gateway.ts'
export { eachPlacement, testGateway } from './test-gateway.ts'
export type { Placement, TestTenant } from './test-tenant.ts'
