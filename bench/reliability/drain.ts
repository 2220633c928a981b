import { setTimeout as sleep } from 'node:timers/promises'
import { asSuperuser } from '../stage.ts'
import { type Answer, Load } from './caller.ts'
import { PLACES, type Stage, sharedTenant } from './stage.ts'

const CALLERS = 50
const BEFORE_MS = 3_000

/** SIGTERM while keep-alive clients write: each sent request is answered, and each answered write exists. */
export async function drain(stage: Stage): Promise<readonly string[]> {
  const house = await stage.open({ SHUTDOWN_GRACE_SECONDS: '20' })
  const { token, id } = await sharedTenant(house, 'drained')
  let ended = false
  let n = 0
  const load = new Load(CALLERS, 0, async () => {
    // A caller that learns that this gateway is stopping, or has stopped, asks another one.
    if (ended) return sleep(50, { status: -1, text: '', tookMs: 0 })
    n += 1
    const answer = await house.caller.ask('POST', PLACES, { token, body: { name: `drained ${n}` } })
    if (answer.status !== 201) ended = true
    return answer
  })
  await sleep(BEFORE_MS)
  const begun = performance.now()
  process.kill(house.process.pid, 'SIGTERM')
  await gone(house.process.pid)
  const seconds = (performance.now() - begun) / 1_000
  const answers = await load.stop()
  const acknowledged = answers.filter(({ status }) => status === 201).length
  const { rows } = await asSuperuser(stage.central, 'shared', (client) =>
    client.query('SELECT count(*)::int AS n FROM places WHERE tenant_id = $1', [id]),
  )
  return [
    `SIGTERM under ${CALLERS} keep-alive writers: ${answers.filter(isLost).length} requests without an answer, ${acknowledged} acknowledged and ${rows[0]?.n} there, ended after ${seconds.toFixed(2)} s`,
  ]
}

/** A refused connection was never accepted. Every other request without an answer is lost. */
function isLost({ status, text }: Answer): boolean {
  return status === 0 && !text.includes('ECONNREFUSED')
}

async function gone(pid: number): Promise<void> {
  for (;;) {
    try {
      process.kill(pid, 0)
    } catch {
      return
    }
    await sleep(20)
  }
}
