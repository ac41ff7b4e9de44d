import type { S3 } from '@aws-sdk/client-s3'

/** What tests need of any server of S3. */
export interface S3Server {
  /** `http://127.0.0.1:PORT` */
  readonly url: string
  /** Credentials of the owner of everything. */
  readonly environment: Readonly<Record<string, string>>
  /** The SDK's client, as the owner. */
  readonly s3: S3
  /** Kills it and removes what it kept. */
  stop(): Promise<void>
}
