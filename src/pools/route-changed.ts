/** The tenant's route changed before the statement was sent. Nothing was sent. */
export class RouteChangedError extends Error {
  override readonly name = 'RouteChangedError'

  constructor() {
    super('the route has changed')
  }
}
