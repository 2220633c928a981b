import { randomUUID } from 'node:crypto'
import type { InjectOptions, LightMyRequestResponse } from 'fastify'
import type { SqlClient } from '../templates.ts'
import type { TestGateway } from '../test-gateway.ts'
import { type Attempt, attemptsOn } from './attempts.ts'
import { exerciseDeletions, exerciseRoutes } from './exercise-routes.ts'
import { IsolationError, type Leak } from './isolation-error.ts'
import { type Parts, requestOf, wordsOf } from './parts.ts'
import { type Examples, Resident } from './resident.ts'
import { type TenantRoute, tenantRoutes } from './routes.ts'
import { TenantRows } from './rows.ts'
import { leaksBySql } from './sql.ts'
import { comparableText, shownOf, type Traces } from './traces.ts'

export interface IsolationOptions {
  /** Values that do not follow from the schemas of the routes. */
  readonly examples?: Examples
  /** False skips the attacks by a tenant's own SQL, which are the same for every application. */
  readonly sql?: boolean
}

/** The result of a proof. */
export interface IsolationProof {
  /** The tested routes, as `METHOD /path`. */
  readonly routes: readonly string[]
  /** The number of requests of one tenant that named something of another. */
  readonly attempts: number
  /** Routes of the application that were not tested because no tenant calls them: open ones and operators'. */
  readonly skipped: readonly string[]
}

/**
 * Calls every route of the application as three tenants, two in the shared database and one in a dedicated one. Each tenant first
 * uses its own ids, and then those of another tenant.
 * @throws IsolationError with the routes through which one tenant reached another, and the routes that could not be tested
 */
export async function proveIsolation(
  t: TestGateway,
  { examples = {}, sql = true }: IsolationOptions = {},
): Promise<IsolationProof> {
  const { watch } = t.serving
  watch.isOn = true
  try {
    return await withResidents(t, examples, (parts) => new Trial(t, parts).run(sql))
  } finally {
    watch.isOn = false
  }
}

interface TrialParts {
  readonly routes: readonly TenantRoute[]
  readonly others: readonly string[]
  readonly residents: readonly [Resident, Resident, Resident]
  readonly rows: TenantRows
  /** A superuser's connection to the shared database. */
  readonly shared: SqlClient
}

const PARALLEL_ROUNDS = 2

class Trial {
  readonly #t: TestGateway
  readonly #parts: TrialParts
  readonly #leaks = new Map<string, Leak>()
  readonly #traces = new Map<Resident, Traces>()
  #attempts = 0

  constructor(t: TestGateway, parts: TrialParts) {
    this.#t = t
    this.#parts = parts
  }

  async run(withSql: boolean): Promise<IsolationProof> {
    const { routes, others, residents, rows } = this.#parts
    const [one, two, dedicated] = residents
    const violations = await rows.violations()
    // One after the other: if a handler caches data of the first tenant, the others are shown it.
    for (const resident of residents) await exerciseRoutes(resident, routes)
    for (const resident of residents) this.#traces.set(resident, await this.#tracesOf(resident))
    this.#inspectOwn()
    await this.#callInParallel()
    await this.#attack(one, two, true)
    await this.#attack(one, dedicated, false)
    await this.#attack(dedicated, two, false)
    const bySql = withSql ? await this.#attackBySql() : []
    for (const resident of residents) await exerciseDeletions(resident, routes)
    const unproven = routes.flatMap(({ key }) => {
      const reason = residents.map(({ failed }) => failed.get(key)).find((text) => text !== undefined)
      return reason === undefined ? [] : [{ route: key, reason }]
    })
    const leaks = [...this.#leaks.values(), ...bySql]
    if (leaks.length + unproven.length + violations.length > 0)
      throw new IsolationError({ leaks, unproven, violations })
    return { routes: routes.map(({ key }) => key), attempts: this.#attempts, skipped: others }
  }

  async #tracesOf({ tenant, mark }: Resident): Promise<Traces> {
    const ids = await this.#parts.rows.idsOf(tenant.id)
    return { ids: new Set([tenant.id, ...ids].map((id) => id.toLowerCase())), words: [mark, tenant.code] }
  }

  /** Inspects each tenant's answers to its own requests. */
  #inspectOwn(): void {
    for (const resident of this.#parts.residents)
      for (const route of this.#parts.routes) {
        const sent = resident.sent.get(route.key)
        if (sent === undefined) continue
        const request = requestOf(route, sent.parts)
        this.#inspect(route, { resident, request, answer: sent.answer, by: 'its own request' })
      }
  }

  /** Calls as all tenants at once: data that a handler keeps outside of its call then belongs to another tenant. */
  async #callInParallel(): Promise<void> {
    const { routes, residents } = this.#parts
    for (const route of routes.filter(({ method }) => method === 'GET'))
      for (let round = 0; round < PARALLEL_ROUNDS; round += 1)
        await Promise.all(
          residents.map(async (resident) => {
            const parts = resident.sent.get(route.key)?.parts
            if (parts === undefined) return
            const request = requestOf(route, parts)
            const answer = await resident.send(request)
            this.#inspect(route, {
              resident,
              request,
              answer,
              by: 'its own request, at the same time as others',
            })
          }),
        )
  }

  /** Routes that read come first: later an attacker may rightly be shown what it has written itself. */
  async #attack(attacker: Resident, victim: Resident, isThorough: boolean): Promise<void> {
    const { routes, rows } = this.#parts
    const id = victim.tenant.id
    const isReading = ({ method }: TenantRoute) => method === 'GET'
    const ordered = [...routes.filter(isReading), ...routes.filter((route) => !isReading(route))]
    let before = await rows.contentOf(id)
    for (const route of ordered) {
      const headersRead = this.#t.serving.watch.headersRead(route.method, route.url)
      for (const attempt of attemptsOn(route, { attacker, victim, headersRead }, isThorough))
        await this.#try(route, attacker, attempt)
      const after = await rows.contentOf(id)
      if (after === before) continue
      await this.#findCause(route, { attacker, victim, headersRead, isThorough })
      before = await rows.contentOf(id)
    }
  }

  /** Attacks by SQL, between the two tenants that share a database. */
  #attackBySql(): Promise<Leak[]> {
    const [one, two] = this.#parts.residents
    return leaksBySql({
      ...{ attacker: one.tenant, victim: two.tenant, superuser: this.#parts.shared },
      tables: this.#t.application.tenantTables,
    })
  }

  async #try(route: TenantRoute, attacker: Resident, { by, parts, id }: Attempt): Promise<void> {
    const [request, answer] = await this.#send(route, attacker, parts)
    this.#inspect(route, { resident: attacker, request, answer, by })
    if (id === undefined) return
    const shown = comparableText(answer, id.value)
    const answerToUnknown = async () => {
      const unknown = randomUUID()
      const [, other] = await this.#send(route, attacker, id.parts(unknown))
      return comparableText(other, unknown)
    }
    const first = await answerToUnknown()
    // A route whose answers always differ tells nothing by a difference.
    if (shown !== first && first === (await answerToUnknown()))
      this.#note(route, `by ${by} it is told whether another tenant has a row of that id`)
  }

  async #send(
    route: TenantRoute,
    by: Resident,
    parts: Parts,
  ): Promise<[request: InjectOptions, answer: LightMyRequestResponse]> {
    this.#attempts += 1
    const request = requestOf(route, parts)
    return [request, await by.send(request)]
  }

  /** Called when the victim's rows have changed. Repeats the attempts one by one, to find the one that changed them. */
  async #findCause(
    route: TenantRoute,
    { isThorough, ...sides }: Parameters<typeof attemptsOn>[1] & { isThorough: boolean },
  ): Promise<void> {
    const { rows } = this.#parts
    const id = sides.victim.tenant.id
    for (const { by, parts } of attemptsOn(route, sides, isThorough)) {
      const before = await rows.contentOf(id)
      await this.#send(route, sides.attacker, parts)
      if ((await rows.contentOf(id)) !== before) {
        this.#note(route, `by ${by} one tenant changed rows of another`)
        return
      }
    }
    this.#note(route, 'one tenant changed rows of another')
  }

  #inspect(
    route: TenantRoute,
    seen: { resident: Resident; request: InjectOptions; answer: LightMyRequestResponse; by: string },
  ): void {
    const { resident, request, answer } = seen
    const asked = wordsOf(request)
    const known = `${asked} ${resident.borrowed}`
    for (const [other, traces] of this.#traces) {
      const shown = other === resident ? null : shownOf(traces, answer, known)
      if (shown !== null) this.#note(route, `by ${seen.by} one tenant was shown ${shown} of another`)
    }
    if (route.method !== 'GET' && answer.statusCode < 300) this.#borrow(resident, asked)
  }

  /** A tenant that has written words of another tenant into its own rows may be shown them again. */
  #borrow(resident: Resident, asked: string): void {
    for (const [other, { words }] of this.#traces)
      if (other !== resident)
        resident.borrow([other.tenant.id, ...words].filter((word) => asked.includes(word)))
  }

  /** Keeps only the first leak of a route. */
  #note({ key }: TenantRoute, how: string): void {
    if (!this.#leaks.has(key)) this.#leaks.set(key, { route: key, how })
  }
}

/** Creates the tenants, and keeps a connection to each of their databases while `fn` runs. */
async function withResidents<T>(
  t: TestGateway,
  examples: Examples,
  fn: (parts: TrialParts) => Promise<T>,
): Promise<T> {
  const { routes, others } = tenantRoutes(t.application, t.serving.routes)
  assertKnown(examples, routes)
  const one = new Resident(await t.tenant(), examples)
  const two = new Resident(await t.tenant(), examples)
  const three = new Resident(await t.tenant({ placement: 'dedicated' }), examples)
  if (routes.some(namesUsers)) for (const resident of [one, two, three]) await addUser(t, resident)
  const { databases, application } = t
  return databases.asSuperuser(one.tenant.databaseUrl, (shared) =>
    databases.asSuperuser(three.tenant.databaseUrl, (dedicated) => {
      const rows = new TenantRows(application, new Map(Object.entries({ shared, dedicated })))
      return fn({ routes, others, residents: [one, two, three], rows, shared })
    }),
  )
}

/** True if the route refers to users. The core creates them, not the application. */
function namesUsers({ params, query, body, collectionOf }: TenantRoute): boolean {
  const fields = [query, body].flatMap((schema) => Object.keys(schema?.properties ?? {}))
  return (
    params.some(({ collection }) => collection === 'users') ||
    fields.some((name) => collectionOf(name) === 'users')
  )
}

async function addUser(t: TestGateway, resident: Resident): Promise<void> {
  const answer = await t.operator.inject({
    ...{ method: 'POST', url: `/api/v1/tenants/${resident.tenant.id}/users` },
    payload: { email: `${resident.mark}@mail.example`, password: `Pw-${randomUUID()}` },
  })
  if (answer.statusCode !== 201) throw new Error(`No user for ${resident.tenant.code}: ${answer.body}`)
  resident.know('users', answer.json().id)
}

function assertKnown(examples: Examples, routes: readonly TenantRoute[]): void {
  const unknown = Object.keys(examples).filter((key) => !routes.some((route) => route.key === key))
  if (unknown.length > 0)
    throw new TypeError(
      `Examples for routes that are not there: ${unknown.join(', ')}. Name them as "POST /rooms/:id".`,
    )
}
