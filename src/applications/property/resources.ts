import type { Resource } from '../../index.ts'
import { credits } from './credits/credits.ts'
import { payments } from './credits/payments.ts'
import { charges } from './leases/charges.ts'
import { documents } from './leases/documents.ts'
import { leases } from './leases/leases.ts'
import { media } from './media/media.ts'
import { contacts } from './people/contacts.ts'
import { lessees } from './people/lessees.ts'
import { owners } from './people/owners.ts'
import { equipment } from './properties/equipment.ts'
import { estates } from './properties/estates.ts'
import { places } from './properties/places.ts'
import { rooms } from './properties/rooms.ts'
import { proofs } from './signatures/proofs.ts'
import { signatures } from './signatures/signatures.ts'

/** Every collection of the reference application. */
export const RESOURCES: readonly Resource[] = [
  ...[places, estates, rooms, equipment],
  ...[leases, charges, documents],
  ...[lessees, owners, contacts],
  ...[signatures, proofs],
  ...[credits, payments],
  media,
]
