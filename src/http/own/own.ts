import type { Application } from '../../application.ts'
import { OwnSchema } from '../../tenancy/own-schema.ts'
import { RouteBook } from './route-book.ts'
import { ToldErrors } from './told-errors.ts'

/** What is read out of an application once, for all requests. */
export interface Own {
  readonly routes: RouteBook
  readonly schema: OwnSchema
  readonly errors: ToldErrors
}

/** @throws ApplicationError with every problem of the application's routes */
export function ownOf(application: Application): Own {
  return {
    routes: new RouteBook(application),
    schema: new OwnSchema(application),
    errors: new ToldErrors(application),
  }
}
