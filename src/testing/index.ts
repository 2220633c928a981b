/** What an application is tested with. Works with any test runner. */

export type { Injector } from './serving.ts'
export type { NewTestTenant, TestGateway, TestGatewayOptions } from './test-gateway.ts'
export { eachPlacement, testGateway } from './test-gateway.ts'
export type { Placement, TestTenant } from './test-tenant.ts'
