/** The tenant's route has changed before a statement was sent. Nothing was sent. */
export class RouteChangedError extends Error {
  override readonly name = 'RouteChangedError'

  constructor() {
    super('the route has changed')
  }
}
