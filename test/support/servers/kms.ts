import { CreateAliasCommand, CreateKeyCommand, KMSClient } from '@aws-sdk/client-kms'
import { type KmsFaults, startKmsFaults } from './kms-faults.ts'
import { startMoto } from './moto.ts'

export interface KmsServer extends AsyncDisposable {
  /** Of the fault proxy, which everything should go through. */
  readonly url: string
  /** What makes clients of AWS KMS come here. */
  readonly environment: Readonly<Record<string, string>>
  /** What goes wrong on the way; moto itself denies nothing and decrypts with keys that are disabled. */
  readonly faults: KmsFaults
  /** Makes a key and resolves to its ARN. */
  createKey(): Promise<string>
  /** Makes an alias of a key and resolves to its ARN. */
  createAlias(name: string, keyArn: string): Promise<string>
  stop(): Promise<void>
}

const REGION = 'eu-central-1'

/** moto's KMS on a free port of 127.0.0.1, behind a proxy that makes faults. Its keys are gone when it stops. */
export async function startKms(): Promise<KmsServer> {
  const moto = await startMoto()
  const faults = await startKmsFaults(moto.port)
  const stop = async (): Promise<void> => {
    await faults.stop()
    await moto.stop()
  }
  const environment = { AWS_ENDPOINT_URL_KMS: faults.url, ...moto.environment }
  const admin = new KMSClient({
    endpoint: moto.url,
    region: REGION,
    credentials: {
      accessKeyId: environment.AWS_ACCESS_KEY_ID,
      secretAccessKey: environment.AWS_SECRET_ACCESS_KEY,
    },
  })
  return {
    url: faults.url,
    environment,
    faults,
    async createKey() {
      const { KeyMetadata } = await admin.send(new CreateKeyCommand({}))
      return KeyMetadata!.Arn!
    },
    async createAlias(name, keyArn) {
      await admin.send(new CreateAliasCommand({ AliasName: `alias/${name}`, TargetKeyId: keyArn }))
      return keyArn.replace(/:key\/.*$/, `:alias/${name}`)
    },
    stop,
    [Symbol.asyncDispose]: stop,
  }
}
