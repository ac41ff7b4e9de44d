import { HoldfastError } from '../../../lib/errors.ts'
import type { HttpServerAddress } from './http1-connection.ts'

export interface RestLocation {
  readonly address: HttpServerAddress
  /** Path of the repository, encoded, with a slash at both ends. */
  readonly path: string
  readonly user: string | undefined
  readonly password: string | undefined
  /** For people. */
  readonly shown: string
}

/**
 * The place of `rest:https://user:password@host:8000/path/`, or of a unix socket: `rest:http+unix:///run/rest.sock:/path/`.
 * @throws HoldfastError HF_STORAGE_LOCATION; no message holds the password
 */
export function parseRestLocation(place: string): RestLocation {
  const socket = /^(https?)\+unix:\/\/(?:([^/]*)@)?(\/[^:]+)(?::(.*))?$/.exec(place)
  if (socket === null) return fromUrl(place)
  const [, scheme, user, socketPath, path = ''] = socket
  const location = fromUrl(`${scheme}://${user === undefined ? '' : `${user}@`}localhost/${path.replace(/^\//, '')}`)
  const shown = `rest:${scheme}+unix://${shownUser(location)}${socketPath}:${location.path}`
  return { ...location, address: { ...location.address, socketPath }, shown }
}

function fromUrl(text: string): RestLocation {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !['http:', 'https:'].includes(url.protocol) || url.hostname === '')
    throw noLocation('rest: is not followed by the URL of a server')
  if (url.search !== '' || url.hash !== '') throw noLocation('the URL behind rest: has a "?" or a "#"')
  const isTls = url.protocol === 'https:'
  const path = url.pathname.endsWith('/') ? url.pathname : `${url.pathname}/`
  const user = decoded(url.username)
  const password = decoded(url.password)
  return {
    address: {
      isTls,
      host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
      port: url.port === '' ? (isTls ? 443 : 80) : Number(url.port),
    },
    path,
    user,
    password,
    shown: `rest:${url.protocol}//${shownUser({ user, password })}${url.host}${path}`,
  }
}

const shownUser = ({ user, password }: Pick<RestLocation, 'user' | 'password'>): string =>
  user === undefined && password === undefined ? '' : `${user ?? ''}${password === undefined ? '' : ':***'}@`

function decoded(text: string): string | undefined {
  if (text === '') return undefined
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

const noLocation = (what: string): HoldfastError =>
  new HoldfastError('HF_STORAGE_LOCATION', what, {
    hint: 'Write rest:https://user@host:8000/path/, or rest:http+unix:///path/of/socket:/path/.',
  })
