import { Type } from 'typebox'
import { choice, moment, nullable } from '../../lib/fields.ts'
import { CLOSED, named, string } from './parts.ts'

const KID = 's.Zm9yZXhhbXBs.ZXhhbXBsZXM'

/** The public half of a key. Only the fields named here are answered. `y` is for P-256. */
const Jwk = named(
  'Jwk',
  {
    kty: choice('OKP', 'EC'),
    crv: choice('Ed25519', 'P-256'),
    x: Type.String(),
    y: Type.Optional(Type.String()),
    kid: Type.String(),
    use: choice('sig'),
    alg: choice('EdDSA', 'ES256'),
  },
  {
    ...{ kty: 'OKP', crv: 'Ed25519', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' },
    ...{ kid: KID, use: 'sig', alg: 'EdDSA' },
  },
)
export const Jwks = named('Jwks', { keys: Type.Array(Jwk) })

export const SigningKey = named('SigningKey', {
  kid: string(KID),
  algorithm: choice('EdDSA', 'ES256', 'HS256'),
  createdAt: moment(),
})

/** For HS256 only. The key's parser checks the secret, because its errors do not repeat any of it. */
const Secret = Type.Optional(
  Type.String({
    minLength: 1,
    maxLength: 1024,
    examples: ['VGhpcyBpcyBhbiBleGFtcGxlLCBkbyBub3QgdXNlIGl0IQ=='],
  }),
)

export const SigningKeyBody = Type.Object(
  { algorithm: choice('HS256', 'ES256', 'EdDSA'), secret: Secret },
  { ...CLOSED, title: 'NewSigningKey' },
)

export const RotationBody = nullable(Type.Object({ secret: Secret }, { ...CLOSED, title: 'KeyRotation' }))
