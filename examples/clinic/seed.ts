import type { Tenant } from 'freehold'
import { patients, practitioners } from './tables.ts'

export async function seed({ db, name }: Tenant): Promise<void> {
  await db.insert(practitioners).values([
    { name: `Dr Osei of ${name}`, speciality: 'general practice' },
    { name: `Dr Lindqvist of ${name}`, speciality: 'dermatology' },
  ])
  await db
    .insert(patients)
    .values([{ name: 'Ada Byron', email: 'ada@patients.example' }, { name: 'Alan Mathison' }])
}
