import { choice, defineResource, optional, text } from 'freehold'
import * as tables from './tables.ts'

/** `/tasks`: list, create, read, change and delete, with `tasks:read` and `tasks:write`. */
export const tasks = defineResource({
  name: 'tasks',
  title: 'Task',
  permission: 'tasks',
  table: tables.tasks,
  fields: { title: text(200), status: optional(choice('open', 'done')) },
  filters: ['status'],
})
