import { HoldfastError } from '../../../lib/errors.ts'

/** Who asks, and where. */
export interface AzureAccount {
  /** Of the account's blob service, without a slash at the end. */
  readonly endpoint: string
  readonly name: string
  readonly credential:
    | { readonly kind: 'key'; readonly key: string }
    /** `token` without a question mark. */
    | { readonly kind: 'sas'; readonly token: string; readonly expiresMs: number | undefined }
    | { readonly kind: 'identity' }
}

type Environment = Readonly<Record<string, string | undefined>>

/** The account of the emulators that Microsoft documents; its key is known to everybody. */
const EMULATOR = {
  name: 'devstoreaccount1',
  key: 'Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==',
  endpoint: 'http://127.0.0.1:10000/devstoreaccount1',
}

/**
 * The account that variables name: those of restic, or else those of Azure's own tools, where a connection string holds everything. Without
 * a key or a shared access signature it is an identity of this machine that asks.
 * @throws HoldfastError HF_USAGE when no account is named, or the connection string is none
 */
export function accountOf(environment: Environment): AzureAccount {
  const { AZURE_ACCOUNT_NAME, AZURE_STORAGE_CONNECTION_STRING, AZURE_STORAGE_ACCOUNT } = environment
  const suffix = environment.AZURE_ENDPOINT_SUFFIX || 'core.windows.net'
  if (AZURE_ACCOUNT_NAME)
    return account(AZURE_ACCOUNT_NAME, suffix, environment.AZURE_ACCOUNT_KEY, environment.AZURE_ACCOUNT_SAS)
  if (AZURE_STORAGE_CONNECTION_STRING) return accountOfConnectionString(AZURE_STORAGE_CONNECTION_STRING)
  if (AZURE_STORAGE_ACCOUNT)
    return account(AZURE_STORAGE_ACCOUNT, suffix, environment.AZURE_STORAGE_KEY, environment.AZURE_STORAGE_SAS_TOKEN)
  throw new HoldfastError('HF_USAGE', 'no Azure storage account is named', {
    hint: 'Set AZURE_ACCOUNT_NAME with AZURE_ACCOUNT_KEY or AZURE_ACCOUNT_SAS, or AZURE_STORAGE_CONNECTION_STRING.',
  })
}

function account(
  name: string,
  suffix: string,
  key: string | undefined,
  sas: string | undefined,
  endpoint = `https://${name}.blob.${suffix}`,
): AzureAccount {
  return { name, endpoint: endpoint.replace(/\/+$/, ''), credential: credentialOf(key, sas) }
}

function credentialOf(key: string | undefined, sas: string | undefined): AzureAccount['credential'] {
  if (key) return { kind: 'key', key }
  if (!sas) return { kind: 'identity' }
  const token = sas.replace(/^\?/, '')
  const expires = Date.parse(new URLSearchParams(token).get('se') ?? '')
  return { kind: 'sas', token, expiresMs: Number.isNaN(expires) ? undefined : expires }
}

/** Messages name parts of the string, and never repeat it: it holds the key. */
function accountOfConnectionString(text: string): AzureAccount {
  const parts = new Map<string, string>()
  for (const part of text.split(';')) {
    const equals = part.indexOf('=')
    if (equals > 0) parts.set(part.slice(0, equals).trim().toLowerCase(), part.slice(equals + 1).trim())
  }
  if (parts.get('usedevelopmentstorage') === 'true')
    return account(EMULATOR.name, '', EMULATOR.key, undefined, EMULATOR.endpoint)
  const protocol = parts.get('defaultendpointsprotocol') ?? 'https'
  const endpoint = parts.get('blobendpoint')
  const name = parts.get('accountname') ?? (endpoint === undefined ? undefined : nameWithin(endpoint))
  const suffix = parts.get('endpointsuffix') ?? 'core.windows.net'
  if (name === undefined || !/^https?$/.test(protocol) || (endpoint !== undefined && !URL.canParse(endpoint)))
    throw new HoldfastError('HF_USAGE', 'AZURE_STORAGE_CONNECTION_STRING is no connection string of an account', {
      hint: 'Copy it from "Access keys" of the storage account: it has AccountName, and AccountKey or SharedAccessSignature.',
    })
  return account(
    name,
    suffix,
    parts.get('accountkey'),
    parts.get('sharedaccesssignature'),
    endpoint ?? `${protocol}://${name}.blob.${suffix}`,
  )
}

/** `https://ACCOUNT.blob…`, or `http://HOST:PORT/ACCOUNT` of emulators. */
function nameWithin(endpoint: string): string | undefined {
  if (!URL.canParse(endpoint)) return undefined
  const { hostname, pathname } = new URL(endpoint)
  return pathname.split('/')[1] || hostname.split('.', 1)[0]
}
