import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { dropAll, query, superuserUrl } from '../support/database.ts'
import type { TestTenant } from '../support/gateway.ts'
import { Application } from './application.ts'
import { API, expectProblem, type Fixture, openFixture, rawRequest, telling, UNKNOWN_ID } from './support.ts'

const MIB = 1024 * 1024
const CHUNK = 256 * 1024

let fixture: Fixture
let otherApp: Application
beforeAll(async () => {
  // Sixty concurrent downloads wait for each other, and a busy machine is slow.
  fixture = await openFixture({ ACQUIRE_TIMEOUT_MS: '30000' })
  otherApp = new Application(fixture.gateway, fixture.other)
})
afterAll(async () => {
  await fixture?.gateway.close()
  await dropAll()
})

const sha256 = (content: Uint8Array) => createHash('sha256').update(content).digest('hex')

interface Sent {
  readonly name?: string
  readonly type?: string
  readonly headers?: Record<string, string>
}

function formOf(content: Uint8Array, { name = 'plan.pdf', type = 'application/pdf' }: Sent = {}): FormData {
  const form = new FormData()
  form.append('file', new Blob([new Uint8Array(content)], { type }), name)
  return form
}

/** Sends a file and returns the answer in the form of `send`. */
async function upload(app: Application, content: Uint8Array | FormData, sent: Sent = {}) {
  const body = content instanceof FormData ? content : formOf(content, sent)
  const response = await app.fetch('POST', 'media', { body, headers: sent.headers ?? {} })
  const text = await response.text()
  return { status: response.status, headers: response.headers, text, body: JSON.parse(text) }
}

async function download(app: Application, id: string, headers: Record<string, string> = {}) {
  const response = await app.fetch('GET', `media/${id}/content`, { headers })
  return { response, bytes: Buffer.from(await response.arrayBuffer()) }
}

async function connectTo({ url }: { url: string }) {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  await once(socket, 'connect')
  socket.on('error', () => undefined)
  return socket
}

/** The head of an upload. */
function headOf(tenant: TestTenant, length: number, more: readonly string[] = []): string {
  return [
    `POST ${API}/media HTTP/1.1`,
    'Host: gateway',
    `Authorization: Bearer ${tenant.token}`,
    'Content-Type: multipart/form-data; boundary=cut',
    `Content-Length: ${length}`,
    ...more,
    '',
    '',
  ].join('\r\n')
}

/** Sends the head of an upload and the beginning of its form, and returns the socket. */
async function beginUpload(tenant: TestTenant, length: number, more: readonly string[] = []) {
  const socket = await connectTo(fixture.gateway)
  const part = 'Content-Disposition: form-data; name="file"; filename="half.bin"\r\nContent-Type: image/png'
  socket.write(`${headOf(tenant, length, ['Connection: close', ...more])}--cut\r\n${part}\r\n\r\n`)
  return socket
}

async function databaseOf(tenantId: string): Promise<string> {
  const { body } = await fixture.gateway.operator('GET', `/tenants/${tenantId}/database`)
  return body.database ?? new URL(fixture.stage.sharedUrl).pathname.slice(1)
}

async function openTransactions(database: string): Promise<number> {
  const text = `SELECT FROM pg_stat_activity WHERE datname = '${database}' AND state = 'idle in transaction'`
  return (await query(superuserUrl(database), text)).length
}

describe.each(['shared', 'dedicated'] as const)('a tenant in a %s database', (placement) => {
  let app: Application
  beforeAll(() => {
    app = new Application(fixture.gateway, fixture[placement])
  })
  const listed = async (filename: string) =>
    (await app.send('GET', `media?filename=${encodeURIComponent(filename)}`)).body.data

  describe('POST /media', () => {
    test.each([0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 17])(
      'stores a file of %i bytes and returns it unchanged',
      async (size) => {
        const content = randomBytes(size)
        const { status, body, headers, text } = await upload(app, content)
        expect(status, text).toBe(201)
        expect(body).toMatchObject({
          ...{ filename: 'plan.pdf', contentType: 'application/pdf' },
          ...{ sizeBytes: size, sha256: sha256(content) },
        })
        expect(headers.get('location')).toBe(`${API}/media/${body.id}`)
        const found = await app.send('GET', `media/${body.id}`)
        expect([found.body, found.headers.get('etag')]).toEqual([body, headers.get('etag')])
        const { response, bytes } = await download(app, body.id)
        expect(response.status).toBe(200)
        expect(response.headers.get('content-length')).toBe(String(size))
        expect(bytes.equals(content)).toBe(true)
      },
    )

    test('accepts 25 MiB, and not a byte more', async () => {
      const most = randomBytes(25 * MIB)
      const kept = await upload(app, most, { name: 'most.bin' })
      expect([kept.status, kept.body.sha256]).toEqual([201, sha256(most)])
      const { bytes } = await download(app, kept.body.id)
      expect(bytes.equals(most)).toBe(true)
      const refused = await upload(app, Buffer.concat([most, Buffer.from('x')]), { name: 'more.bin' })
      expectProblem(refused, { status: 413, code: 'PAYLOAD_TOO_LARGE' })
      expect(await listed('more.bin')).toEqual([])
    })

    test('refuses an upload with too large a Content-Length before reading it', async () => {
      const socket = await beginUpload(fixture[placement], 100 * MIB)
      const [answer] = await once(socket, 'data')
      expect(String(answer)).toMatch(/^HTTP\/1\.1 413 [\s\S]*PAYLOAD_TOO_LARGE/)
      socket.destroy()
    })

    test('keeps concurrent uploads apart', async () => {
      const files = Array.from({ length: 6 }, () => randomBytes(2 * CHUNK + 5))
      const answers = await Promise.all(files.map((file) => upload(app, file)))
      for (const [index, { body }] of answers.entries()) {
        const { bytes } = await download(app, body.id)
        expect(sha256(bytes)).toBe(sha256(files[index] ?? Buffer.alloc(0)))
      }
    })

    test.each([
      ['Plan “Ω” 🏠.pdf', 'Plan “Ω” 🏠.pdf'],
      ['../../etc/passwd', 'passwd'],
      ['C:\\temp\\a.txt', 'a.txt'],
      ['x'.repeat(300), 'x'.repeat(255)],
    ])('stores the name %s as %s', async (name, kept) => {
      const { body } = await upload(app, Buffer.from('x'), { name })
      expect(body.filename).toBe(kept)
    })

    test.each([
      ['no file', () => new FormData()],
      [
        'a file of another name',
        () => {
          const form = new FormData()
          form.append('attachment', new Blob(['x']), 'x.txt')
          return form
        },
      ],
      [
        'a text in its place',
        () => {
          const form = new FormData()
          form.append('file', 'x')
          return form
        },
      ],
      [
        'a second file',
        () => {
          const form = formOf(randomBytes(CHUNK * 2), { name: 'twofold.bin' })
          form.append('file', new Blob(['x']), 'twofold.bin')
          return form
        },
      ],
      [
        'a field beside it',
        () => {
          const form = formOf(Buffer.from('x'), { name: 'twofold.bin' })
          form.append('tenantId', UNKNOWN_ID)
          return form
        },
      ],
    ])('refuses a form with %s, and stores nothing of it', async (_what, form) => {
      const answer = await upload(app, form())
      expectProblem(answer, { status: 400, code: 'VALIDATION_FAILED' })
      expect(await listed('twofold.bin')).toEqual([])
    })

    test.each(['multipart/form-data', 'multipart/form-data; boundary=other'])(
      'refuses a body that is no form, sent as %s',
      async (type) => {
        const answer = await app.send('POST', 'media', '--cut\r\n\r\nx', { 'content-type': type })
        expectProblem(answer, { status: 400, code: 'VALIDATION_FAILED' })
      },
    )

    test.each(['application/json', 'application/octet-stream', 'text/plain'])(
      'does not accept %s',
      async (type) => {
        const answer = await app.send('POST', 'media', '{}', { 'content-type': type })
        expectProblem(answer, { status: 415, code: 'UNSUPPORTED_MEDIA_TYPE' })
      },
    )

    test('does not accept a query', async () => {
      const response = await app.fetch('POST', `media?tenantId=${UNKNOWN_ID}`, {
        body: formOf(Buffer.from('x')),
      })
      const { code } = (await response.json()) as { code: string }
      expect([response.status, code]).toEqual([400, 'VALIDATION_FAILED'])
    })

    test('keeps no data and no connection of an upload that breaks off', async () => {
      const database = await databaseOf(fixture[placement].id)
      const open = () => openTransactions(database)
      const socket = await beginUpload(fixture[placement], 4 * MIB)
      await new Promise<void>((resolve) => socket.write(randomBytes(2 * MIB), () => resolve()))
      await expect.poll(open).toBe(1)
      socket.destroy()
      await expect.poll(open).toBe(0)
      expect(await listed('half.bin')).toEqual([])
      const orphans = 'SELECT FROM media_chunks c LEFT JOIN media m ON m.id = c.media_id WHERE m.id IS NULL'
      expect(await query(superuserUrl(database), orphans)).toEqual([])
    })

    test('slow senders leave connections and upload slots for others, and release their own', async () => {
      const database = await databaseOf(fixture[placement].id)
      const sockets = await Promise.all(
        Array.from({ length: 20 }, () => beginUpload(fixture[placement], 4 * MIB)),
      )
      for (const socket of sockets) socket.write(randomBytes(CHUNK + 1))
      await expect.poll(() => openTransactions(database)).toBe(8)
      expect((await otherApp.send('GET', 'media')).status).toBe(200)
      expect((await upload(otherApp, randomBytes(10))).status).toBe(201)
      expect((await app.send('GET', 'media')).status).toBe(200)
      for (const socket of sockets) socket.destroy()
      await expect.poll(() => openTransactions(database)).toBe(0)
      expect((await upload(app, randomBytes(10))).status).toBe(201)
    })

    test('holds nothing for a sender who left before the upload began', async () => {
      const database = await databaseOf(fixture[placement].id)
      const count = async (condition: string) => {
        const text = `SELECT FROM pg_stat_activity WHERE datname = '${database}' AND ${condition}`
        return (await query(superuserUrl(database), text)).length
      }
      const aborted = () => fixture.gateway.log().split('"aborted":true').length
      const goneBefore = aborted()
      const obstacle = new pg.Client(superuserUrl(database))
      await obstacle.connect()
      await obstacle.query('BEGIN; LOCK TABLE idempotency_keys IN SHARE MODE')
      const socket = await beginUpload(fixture[placement], 4 * MIB, [`Idempotency-Key: ${placement}-gone`])
      await expect.poll(() => count("wait_event_type = 'Lock'")).toBe(1)
      socket.destroy()
      await expect.poll(aborted).toBe(goneBefore + 1)
      await obstacle.end()
      await expect.poll(() => count("(wait_event_type = 'Lock' OR state = 'idle in transaction')")).toBe(0)
    })

    test('answers a client that sends the whole form before it reads, however early the form is refused', async () => {
      // More than all buffers on the path can hold.
      const rest = Buffer.concat([Buffer.alloc(16 * MIB), Buffer.from('\r\n--cut--\r\n')])
      const part = '--cut\r\nContent-Disposition: form-data; name="other"; filename="x"\r\n\r\n'
      const socket = await connectTo(fixture.gateway)
      let heard = ''
      socket.on('data', (data) => {
        heard += data
      })
      const head = headOf(fixture[placement], part.length + rest.length)
      await new Promise<void>((resolve) =>
        socket.write(Buffer.concat([Buffer.from(head + part), rest]), () => resolve()),
      )
      socket.write('GET /livez HTTP/1.1\r\nHost: x\r\n\r\n')
      await expect.poll(() => heard.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 400', 'HTTP/1.1 200'])
      socket.destroy()
    })

    test('stores nothing of a truncated form', async () => {
      const length = 300_000
      const socket = await beginUpload(fixture[placement], length)
      let answer = ''
      socket.on('data', (data) => {
        answer += data
      })
      socket.end(randomBytes(length).toString('latin1').slice(0, length), 'latin1')
      await once(socket, 'close')
      expect(answer).toMatch(/^HTTP\/1\.1 400 /)
      expect(await listed('half.bin')).toEqual([])
    })

    test('stores an upload once that is repeated under one key', async () => {
      const content = randomBytes(CHUNK + 1)
      const sent = { name: `${placement}-once.bin`, headers: { 'idempotency-key': `${placement}-once` } }
      const [first, again] = [await upload(app, content, sent), await upload(app, content, sent)]
      expect([first.status, again.status, again.body]).toEqual([201, 201, first.body])
      expect(again.headers.get('idempotency-replayed')).toBe('true')
      const other = await upload(app, randomBytes(CHUNK + 1), sent)
      expectProblem(other, { status: 409, code: 'IDEMPOTENCY_MISMATCH' })
      expect(await listed(`${placement}-once.bin`)).toEqual([first.body])
    })
  })

  describe('GET /media/{id}/content', () => {
    const content = randomBytes(2 * CHUNK + 100)
    let id: string
    beforeAll(async () => {
      id = (await upload(app, content, { name: 'Ω "1".png', type: 'image/png' })).body.id
    })

    test('names the media type, and forbids browsers to run the content', async () => {
      const { headers } = (await download(app, id)).response
      expect(headers.get('content-type')).toBe('image/png')
      expect(headers.get('etag')).toBe(`"${sha256(content)}"`)
      expect(headers.get('accept-ranges')).toBe('bytes')
      expect(headers.get('x-content-type-options')).toBe('nosniff')
      expect(headers.get('content-encoding')).toBeNull()
      expect(headers.get('content-disposition')).toMatch(
        /^attachment; filename=".*"; filename\*=UTF-8''%CE%A9/,
      )
    })

    test.each([
      'text/html',
      'image/svg+xml',
      'application/xml',
      'text/xml',
      'TEXT/HTML',
      'not a type',
      'text/javascript',
    ])('sends %s as plain bytes', async (type) => {
      const { body } = await upload(app, Buffer.from('<svg onload="alert(1)"/>'), { type })
      const { headers } = (await download(app, body.id)).response
      expect(headers.get('content-type')).toBe('application/octet-stream')
    })

    test('HEAD has the same headers without the bytes', async () => {
      const response = await app.fetch('HEAD', `media/${id}/content`)
      expect(response.status).toBe(200)
      expect(response.headers.get('content-length')).toBe(String(content.length))
      expect(response.headers.get('accept-ranges')).toBe('bytes')
      expect(await response.text()).toBe('')
    })

    test('answers 304 to a caller who has the content', async () => {
      const { response, bytes } = await download(app, id, { 'if-none-match': `"${sha256(content)}"` })
      expect([response.status, bytes.length]).toEqual([304, 0])
    })

    test.each([
      ['bytes=0-0', 0, 0],
      ['bytes=10-19', 10, 19],
      [`bytes=${CHUNK - 1}-${CHUNK}`, CHUNK - 1, CHUNK],
      [`bytes=${CHUNK}-${2 * CHUNK - 1}`, CHUNK, 2 * CHUNK - 1],
      [`bytes=5-${2 * CHUNK + 50}`, 5, 2 * CHUNK + 50],
      ['bytes=-7', content.length - 7, content.length - 1],
      [`bytes=${2 * CHUNK}-`, 2 * CHUNK, content.length - 1],
      ['bytes=0-99999999', 0, content.length - 1],
    ])('%s is 206 with just these bytes', async (range, first, last) => {
      const { response, bytes } = await download(app, id, { range })
      expect(response.status).toBe(206)
      expect(response.headers.get('content-range')).toBe(`bytes ${first}-${last}/${content.length}`)
      expect(response.headers.get('content-length')).toBe(String(last - first + 1))
      expect(bytes.equals(content.subarray(first, last + 1))).toBe(true)
    })

    test('a range sends no byte beyond its end', async () => {
      const { body } = await upload(app, Buffer.from('x'.repeat(CHUNK + 1)))
      const head = [
        `GET ${API}/media/${body.id}/content HTTP/1.1`,
        `Authorization: Bearer ${fixture[placement].token}`,
        'Range: bytes=7-11',
      ]
      const { status, text } = await rawRequest(fixture.gateway.url, head)
      expect([status, text.split('\r\n\r\n')[1]]).toEqual([206, 'xxxxx'])
    })

    test.each([`bytes=${content.length}-`, 'bytes=-0', 'bytes=999999999-'])('%s is 416', async (range) => {
      const { response, bytes } = await download(app, id, { range })
      expect([response.status, JSON.parse(bytes.toString()).code]).toEqual([416, 'RANGE_NOT_SATISFIABLE'])
      expect(response.headers.get('content-range')).toBe(`bytes */${content.length}`)
    })

    test.each(['bytes=1-0', 'bytes=0-1,5-6', 'lines=1-2', 'bytes=x'])('%s is ignored', async (range) => {
      const { response, bytes } = await download(app, id, { range })
      expect([response.status, bytes.length]).toEqual([200, content.length])
    })

    test('If-Range continues the same content, and starts again with other content', async () => {
      const range = 'bytes=5-6'
      const same = await download(app, id, { range, 'if-range': `"${sha256(content)}"` })
      expect([same.response.status, same.bytes.length]).toEqual([206, 2])
      const other = await download(app, id, { range, 'if-range': '"other"' })
      expect([other.response.status, other.bytes.length]).toEqual([200, content.length])
    })

    test('clients that stop reading hold no connection', async () => {
      const { body } = await upload(app, randomBytes(8 * MIB))
      // More uploads than the tenant has connections.
      const slow = await Promise.all(
        Array.from({ length: 60 }, () => app.fetch('GET', `media/${body.id}/content`)),
      )
      expect(slow.every(({ status }) => status === 200)).toBe(true)
      const { status } = await app.send('GET', `media/${body.id}`)
      expect(status).toBe(200)
      await Promise.all(slow.map(({ body: unread }) => unread?.cancel()))
    })
  })

  describe('a stored file', () => {
    test('may be renamed, and nothing else', async () => {
      const { body } = await upload(app, Buffer.from('x'))
      const renamed = await app.send('PATCH', `media/${body.id}`, { filename: 'new.pdf' })
      expect([renamed.status, renamed.body.filename]).toEqual([200, 'new.pdf'])
      for (const field of ['sha256', 'sizeBytes', 'contentType']) {
        const answer = await app.send('PATCH', `media/${body.id}`, { [field]: body[field] })
        expectProblem(answer, { status: 400, code: 'VALIDATION_FAILED', pointers: [`/${field}`] })
      }
    })

    test('is deleted with its content', async () => {
      const { body } = await upload(app, randomBytes(CHUNK * 2))
      expect((await app.send('DELETE', `media/${body.id}`)).status).toBe(204)
      for (const path of [`media/${body.id}`, `media/${body.id}/content`])
        expectProblem(await app.send('GET', path), { status: 404, code: 'NOT_FOUND' })
    })

    test("of another tenant is answered like one that doesn't exist", async () => {
      const { body } = await upload(otherApp, Buffer.from('theirs'))
      for (const [method, path] of [
        ['GET', ''],
        ['DELETE', ''],
        ['GET', '/content'],
      ]) {
        const [foreignAnswer, missingAnswer] = [
          await app.send(method ?? '', `media/${body.id}${path}`),
          await app.send(method ?? '', `media/${UNKNOWN_ID}${path}`),
        ]
        expect(telling(foreignAnswer)).toEqual(telling(missingAnswer))
        expectProblem(foreignAnswer, { status: 404, code: 'NOT_FOUND' })
      }
      expect((await download(otherApp, body.id)).bytes.toString()).toBe('theirs')
    })
  })
})
