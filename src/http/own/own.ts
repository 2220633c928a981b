import type { Application } from '../../application.ts'
import { OwnSchema } from '../../tenancy/own-schema.ts'
import { HandlerErrors } from './handler-errors.ts'
import { RouteBook } from './route-book.ts'

/** What the gateway reads from an application at the start and uses for all requests. */
export interface Own {
  readonly routes: RouteBook
  readonly schema: OwnSchema
  readonly errors: HandlerErrors
}

/** @throws ApplicationError with every problem of the application's routes */
export function ownOf(application: Application): Own {
  return {
    routes: new RouteBook(application),
    schema: new OwnSchema(application),
    errors: new HandlerErrors(application),
  }
}
