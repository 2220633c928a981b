import type { ChildProcess } from 'node:child_process'
import type { Harvest, Order } from '../load/order.ts'
import { forkScript } from '../processes.ts'
import type { Cell, Slot } from './group.ts'

/** Lends the process that sends the requests. One order at a time. */
export class LoadGenerator {
  readonly #process: ChildProcess = forkScript('load/load.ts')

  run(order: Order): Promise<Harvest> {
    return new Promise((resolve, reject) => {
      const ended = () => reject(new Error('the load generator ended'))
      this.#process.once('exit', ended).once('message', (harvest: Harvest) => {
        this.#process.off('exit', ended)
        resolve(harvest)
      })
      this.#process.send(order)
    })
  }

  close(): void {
    this.#process.kill()
  }
}

/** What to send, without for how long. */
export type Requests = Omit<Order, 'warmUpMs' | 'measureMs'>

/** A cell that sends the same requests in each round, or those that it is given for a round. */
export function loadCell(
  load: LoadGenerator,
  service: string,
  requests: Requests | ((round: number) => Requests),
): Cell {
  const requestsOf = typeof requests === 'function' ? requests : () => requests
  return {
    service,
    measure: ({ round, ...times }: Slot) => load.run({ ...requestsOf(round), ...times }),
    samples: [],
  }
}
