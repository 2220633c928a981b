import type { Resource } from './define-resource.ts'
import { equipment } from './properties/equipment.ts'
import { estates } from './properties/estates.ts'
import { places } from './properties/places.ts'
import { rooms } from './properties/rooms.ts'

/** Every collection of the reference application. */
export const RESOURCES: readonly Resource[] = [places, estates, rooms, equipment]
