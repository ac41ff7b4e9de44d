import { HoldfastError } from '../../../lib/errors.ts'

/** Who asks, and where. */
export interface GsAccount {
  /** Of the JSON API, without a slash at the end. */
  readonly endpoint: string
  readonly credential: /** An emulator that asks nobody. */
    | { readonly kind: 'nobody' }
    | { readonly kind: 'token'; readonly token: string }
    | { readonly kind: 'key file'; readonly path: string }
    /** What Google's libraries find on this machine. */
    | { readonly kind: 'default' }
  /** Needed for making a bucket only. */
  readonly project: string | undefined
}

const ENDPOINT = 'https://storage.googleapis.com'

/** The account that variables name: those of restic and of Google's own tools. @throws HoldfastError HF_USAGE */
export function accountOf(environment: Readonly<Record<string, string | undefined>>): GsAccount {
  const { STORAGE_EMULATOR_HOST, GOOGLE_ACCESS_TOKEN, GOOGLE_APPLICATION_CREDENTIALS } = environment
  const project = environment.GOOGLE_PROJECT_ID || environment.GOOGLE_CLOUD_PROJECT || undefined
  const credential: GsAccount['credential'] = GOOGLE_ACCESS_TOKEN
    ? { kind: 'token', token: GOOGLE_ACCESS_TOKEN }
    : STORAGE_EMULATOR_HOST
      ? { kind: 'nobody' }
      : GOOGLE_APPLICATION_CREDENTIALS
        ? { kind: 'key file', path: GOOGLE_APPLICATION_CREDENTIALS }
        : { kind: 'default' }
  return { endpoint: STORAGE_EMULATOR_HOST ? emulatorEndpoint(STORAGE_EMULATOR_HOST) : ENDPOINT, credential, project }
}

function emulatorEndpoint(host: string): string {
  const endpoint = /^https?:\/\//.test(host) ? host : `http://${host}`
  if (URL.canParse(endpoint)) return new URL(endpoint).origin
  throw new HoldfastError('HF_USAGE', `STORAGE_EMULATOR_HOST is no address: ${JSON.stringify(host)}`, {
    hint: 'Write it as http://127.0.0.1:4443.',
  })
}
