/** What operators see of the work in the background. */
import * as Answers from './answer-schemas.ts'
import { API, described, type Operations } from './described.ts'

export const JOB_OPERATIONS: Operations = {
  [`GET ${API}/jobs`]: described(
    ['operators: jobs', 'listJobs', 'Work in the background, newest first'],
    200,
    Answers.pageOf('JobList', Answers.Job),
  ),
  [`GET ${API}/jobs/:id`]: described(['operators: jobs', 'findJob', 'One job'], 200, Answers.Job),
  [`POST ${API}/jobs/:id/cancel`]: described(
    ['operators: jobs', 'cancelJob', 'Cancel a job: a queued one at once, a running one within seconds'],
    202,
    Answers.Job,
    { codes: ['WRONG_STATE'] },
  ),
}
