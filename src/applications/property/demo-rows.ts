import type { Resource, Tenant } from '../../index.ts'
import { credits } from './credits/credits.ts'
import { charges } from './leases/charges.ts'
import { documents } from './leases/documents.ts'
import { leases } from './leases/leases.ts'
import { contacts } from './people/contacts.ts'
import { lessees } from './people/lessees.ts'
import { owners } from './people/owners.ts'
import { equipment } from './properties/equipment.ts'
import { estates } from './properties/estates.ts'
import { places } from './properties/places.ts'
import { rooms } from './properties/rooms.ts'
import { decline, sign } from './signatures/sign.ts'
import { signatures } from './signatures/signatures.ts'

/** A place of the demo and its estates. */
export interface DemoPlace {
  readonly name: string
  readonly kind: 'building' | 'parking'
  readonly address: Readonly<Record<'line1' | 'postalCode' | 'city' | 'country', string>>
  readonly latitude: number
  readonly longitude: number
  readonly rentCents: number
  readonly currency: string
  readonly estates: readonly string[]
}

const PEOPLE = [
  ...[
    'Maartje de Wit',
    'Jonas Peeters',
    'Amina El Idrissi',
    'Sven Halvorsen',
    'Claire Dubois',
    'Tomás Ribeiro',
  ],
  ...['Hanne Vermeulen', 'Ravi Menon', 'Ingrid Solberg', 'Pieter Janssens', 'Lucía Navarro', 'Femke Bakker'],
]
const COMPANIES = ['Noordzee Trading', 'Atelier Lindenhof', 'Brightwater Consulting']
const ROOMS = ['Living room', 'Kitchen', 'Bedroom']
const CONDITIONS = ['new', 'good', 'fair', 'poor']
/** The price in credits of a request for a signature. */
const SIGNATURE_PRICE = 2
/** One estate in five is vacant and has a draft lease. */
const VACANT_EVERY = 5

/** Adds the demo rows of one tenant. Call it in a transaction. All dates are near today. */
export async function addDemoRows(tenant: Tenant, all: readonly DemoPlace[]): Promise<void> {
  const filler = new DemoRows(tenant)
  await filler.addOwners()
  for (const place of all) await filler.addPlace(place)
}

class DemoRows {
  readonly #tenant: Tenant
  #estates = 0

  constructor(tenant: Tenant) {
    this.#tenant = tenant
  }

  async addOwners(): Promise<void> {
    const email = `office@${this.#tenant.code}.example`
    const owner = await this.#add(owners, { kind: 'company', name: `${this.#tenant.code} holding`, email })
    await this.#add(contacts, {
      name: 'Night porter',
      phone: '+31 10 555 0199',
      role: 'keys',
      ownerId: owner,
    })
    await this.#add(contacts, {
      name: 'Bookkeeping',
      email: `books@${this.#tenant.code}.example`,
      ownerId: owner,
    })
    await this.#add(credits, { amount: 500, paymentReference: 'opening-balance' })
  }

  async addPlace({ estates: names, rentCents, currency, ...place }: DemoPlace): Promise<void> {
    const placeId = await this.#add(places, place)
    for (const [index, name] of names.entries()) {
      const number = ++this.#estates
      const surfaceM2 = place.kind === 'parking' ? 12.5 : 48 + ((number * 17) % 60)
      const reference = `${this.#tenant.code.slice(0, 3).toUpperCase()}-${String(number).padStart(3, '0')}`
      const floor = place.kind === 'parking' ? -1 : Math.floor(index / 2)
      const estateId = await this.#add(estates, { placeId, name, reference, surfaceM2, floor })
      if (place.kind === 'building') await this.#furnish(estateId, number)
      await this.#let(estateId, number, { rentCents: rentCents + (number % 4) * 2_500, currency })
    }
  }

  async #furnish(estateId: string, number: number): Promise<void> {
    for (const name of ROOMS) {
      const roomId = await this.#add(rooms, {
        estateId,
        name,
        surfaceM2: 9 + ((number * 7 + name.length) % 20),
      })
      if (name !== 'Kitchen') continue
      const condition = CONDITIONS[number % CONDITIONS.length]
      await this.#add(equipment, {
        roomId,
        name: 'Boiler',
        condition,
        acquiredOn: monthsFromNow(-12 * (number % 9)),
      })
      await this.#add(equipment, { roomId, name: 'Refrigerator', condition: 'good' })
    }
  }

  async #let(estateId: string, number: number, rent: { rentCents: number; currency: string }): Promise<void> {
    const lesseeId = await this.#addLessee(number)
    const isVacant = number % VACANT_EVERY === 0
    const leaseId = await this.#add(leases, {
      ...{ estateId, lesseeIds: [lesseeId], ...rent, depositCents: rent.rentCents * 2 },
      startsOn: monthsFromNow(isVacant ? 1 : -6 - (number % 18)),
      endsOn: number % 3 === 0 ? monthsFromNow(18) : null,
      status: isVacant ? 'draft' : 'active',
    })
    if (!isVacant) await this.#charge(leaseId, rent)
    if (number % 2 === 1) await this.#askToSign(leaseId, number)
  }

  async #addLessee(number: number): Promise<string> {
    const isCompany = number % 7 === 0
    const names = isCompany ? COMPANIES : PEOPLE
    const name = names[number % names.length] ?? ''
    const email = `lessee-${number}@${this.#tenant.code}.example`
    return this.#add(lessees, { kind: isCompany ? 'company' : 'person', name, email })
  }

  async #charge(
    leaseId: string,
    { rentCents, currency }: { rentCents: number; currency: string },
  ): Promise<void> {
    for (const [ago, status] of [
      [2, 'paid'],
      [1, 'paid'],
      [0, 'due'],
    ] as const) {
      const dueOn = monthsFromNow(-ago)
      await this.#add(charges, {
        ...{ leaseId, amountCents: rentCents, currency, dueOn, status },
        label: `Rent ${dueOn.slice(0, 7)}`,
      })
    }
  }

  /** Signs one signature of three, declines one and leaves one pending. */
  async #askToSign(leaseId: string, number: number): Promise<void> {
    const documentId = await this.#add(documents, { leaseId, title: `Lease agreement ${number}` })
    const signerName = PEOPLE[number % PEOPLE.length] ?? ''
    const signerEmail = `lessee-${number}@${this.#tenant.code}.example`
    const id = await this.#add(signatures, { documentId, signerName, signerEmail })
    await this.#add(credits, { amount: -SIGNATURE_PRICE, paymentReference: `signature-${number}` })
    if (number % 3 === 1) await sign(this.#tenant, { id, address: '127.0.0.1' })
    if (number % 3 === 2) await decline(this.#tenant, { id })
  }

  async #add(resource: Resource, body: Readonly<Record<string, unknown>>): Promise<string> {
    return (await resource.create(this.#tenant, body)).row.id
  }
}

/** The first day of a month near today's. */
function monthsFromNow(months: number): string {
  const now = new Date()
  return new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + months, 1)).toISOString().slice(0, 10)
}
