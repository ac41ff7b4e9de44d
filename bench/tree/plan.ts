import type { ContentKind } from './content.ts'
import { createRandom, logNormal, type Random } from './random.ts'
import { inventName } from './words.ts'

export interface PlannedFile {
  /** Relative to the root of the tree, with slashes. */
  readonly path: string
  readonly kind: ContentKind
  readonly sizeBytes: number
  /** Files of equal kind, size and seed have equal bytes. */
  readonly seed: number
  readonly mode: number
  readonly modifiedSeconds: number
}

export interface PlannedLink {
  readonly path: string
  readonly target: string
}

/** Everything about the tree but its bytes, which follow from it. */
export interface TreePlan {
  /** Trees of equal identity are equal. */
  readonly identity: string
  readonly files: readonly PlannedFile[]
  /** The two large ones, which `files` holds too. */
  readonly largeFiles: readonly PlannedFile[]
  readonly symbolicLinks: readonly PlannedLink[]
  /** `target` is the path of a planned file. */
  readonly hardLinks: readonly PlannedLink[]
  readonly sizeBytes: number
}

export interface TreeOptions {
  readonly seed?: number
  /** 1 is about 60,000 files and 2 GiB; scales the number of files and the size of the large ones. */
  readonly scale?: number
  /** Scales the two large files once more, for a bigger tree of as many files. */
  readonly largeScale?: number
}

/** Raise it with any change that alters bytes, so that trees on disk are made again. */
const VERSION = 1
const MEBIBYTE = 1024 * 1024
const LARGEST_SMALL_FILE_BYTES = 24 * MEBIBYTE

interface Shape {
  readonly kind: ContentKind
  readonly extension: string
  readonly medianBytes: number
  readonly sigma: number
}

const sourceShapes: readonly Shape[] = [
  { kind: 'typescript', extension: 'ts', medianBytes: 3600, sigma: 1.1 },
  { kind: 'python', extension: 'py', medianBytes: 3600, sigma: 1.1 },
  { kind: 'c', extension: 'c', medianBytes: 4200, sigma: 1.2 },
]
const packageShapes: readonly Shape[] = [
  { kind: 'typescript', extension: 'js', medianBytes: 1900, sigma: 1.4 },
  { kind: 'typescript', extension: 'js', medianBytes: 1900, sigma: 1.4 },
  { kind: 'typescript', extension: 'd.ts', medianBytes: 1200, sigma: 1.2 },
  { kind: 'json', extension: 'js.map', medianBytes: 3000, sigma: 1.3 },
  { kind: 'markdown', extension: 'md', medianBytes: 1800, sigma: 1.2 },
]
const documentShapes: readonly Shape[] = [
  { kind: 'markdown', extension: 'md', medianBytes: 8000, sigma: 1.2 },
  { kind: 'html', extension: 'html', medianBytes: 9000, sigma: 1.2 },
  { kind: 'csv', extension: 'csv', medianBytes: 10_000, sigma: 1.3 },
  { kind: 'compressed', extension: 'pdf', medianBytes: 14_000, sigma: 1 },
]
const logShape: Shape = { kind: 'log', extension: 'log', medianBytes: 120_000, sigma: 1 }
const oldLogShape: Shape = { kind: 'compressed', extension: 'log.gz', medianBytes: 25_000, sigma: 1 }
const libraryShape: Shape = { kind: 'machine', extension: 'so', medianBytes: 40_000, sigma: 1.4 }
const photoShape: Shape = { kind: 'compressed', extension: 'jpg', medianBytes: 60_000, sigma: 0.9 }
const mailShape: Shape = { kind: 'mail', extension: 'eml', medianBytes: 5000, sigma: 1.2 }
const recordShape: Shape = { kind: 'json', extension: 'json', medianBytes: 6000, sigma: 1.2 }
const gitObjectShape: Shape = { kind: 'compressed', extension: '', medianBytes: 900, sigma: 1.2 }
const databaseShape: Shape = { kind: 'database', extension: 'db', medianBytes: 6 * MEBIBYTE, sigma: 0.6 }

/** The plan of the benchmark's tree: what a developer's machine and a small server hold, in the folders where they keep it. */
export function planTree(options: TreeOptions = {}): TreePlan {
  const { seed = 1, scale = 1, largeScale = 1 } = options
  const planner = createPlanner(seed, (count) => Math.max(1, Math.round(count * scale)))
  planner.projects()
  planner.documents()
  planner.mail()
  planner.logs()
  planner.programs()
  planner.photos()
  planner.records()
  const largeFiles: PlannedFile[] = [
    { ...planner.fileOf('images/machine.img', 'image'), sizeBytes: Math.round(560 * MEBIBYTE * scale * largeScale) },
    { ...planner.fileOf('dumps/shop.sql', 'sql'), sizeBytes: Math.round(530 * MEBIBYTE * scale * largeScale) },
  ]
  const files = [...planner.files.values(), ...largeFiles]
  return {
    identity: `version ${VERSION}, seed ${seed}, scale ${scale}, large ${largeScale}`,
    files,
    largeFiles,
    symbolicLinks: [...planner.symbolicLinks.values()],
    hardLinks: [...planner.hardLinks.values()],
    sizeBytes: files.reduce((sum, file) => sum + file.sizeBytes, 0),
  }
}

interface Planner {
  readonly files: ReadonlyMap<string, PlannedFile>
  readonly symbolicLinks: ReadonlyMap<string, PlannedLink>
  readonly hardLinks: ReadonlyMap<string, PlannedLink>
  fileOf(path: string, kind: ContentKind): Omit<PlannedFile, 'sizeBytes'>
  projects(): void
  documents(): void
  mail(): void
  logs(): void
  programs(): void
  photos(): void
  records(): void
}

function createPlanner(seed: number, scaled: (count: number) => number): Planner {
  const random = createRandom(seed, 0x706c616e)
  const files = new Map<string, PlannedFile>()
  const symbolicLinks = new Map<string, PlannedLink>()
  const hardLinks = new Map<string, PlannedLink>()

  const fileOf = (
    path: string,
    kind: ContentKind,
    own: Random = random,
    mode = 0o644,
  ): Omit<PlannedFile, 'sizeBytes'> => ({
    path,
    kind,
    seed: own.next(),
    mode,
    modifiedSeconds: 1_680_000_000 + random.below(100_000_000),
  })
  /** `own` decides the bytes: equal streams of numbers give equal files. */
  const add = (path: string, shape: Shape, own: Random = random, mode?: number): void => {
    const sizeBytes = logNormal(own, shape.medianBytes, shape.sigma, 0, LARGEST_SMALL_FILE_BYTES)
    files.set(path, { ...fileOf(path, shape.kind, own, mode), sizeBytes })
  }
  const chosen = <T>(from: readonly T[]): T => from[random.below(from.length)]!
  const hexName = (digits: number): string => {
    let name = ''
    while (name.length < digits) name += random.next().toString(16).padStart(8, '0')
    return name.slice(0, digits)
  }

  const sources = (project: string, count: number): void => {
    const shape = chosen(sourceShapes)
    const folders = [`${project}/src`]
    while (folders.length < count / 12) folders.push(`${chosen(folders)}/${inventName(random)}`)
    for (let i = 0; i < count; i++) add(`${chosen(folders)}/${inventName(random)}-${i}.${shape.extension}`, shape)
    add(`${project}/README.md`, documentShapes[0]!)
    files.set(`${project}/LICENSE`, { ...fileOf(`${project}/LICENSE`, 'markdown'), sizeBytes: 11_357, seed: 2004 })
  }
  // A fifth of the packages is in several projects at one version: equal files under different paths.
  const packages = (project: string, count: number): void => {
    for (let made = 0; made < count; ) {
      const shared = random.below(5) === 0
      const name = shared ? `shared-${random.below(60)}` : `${inventName(random)}-${made}`
      const own = shared ? createRandom(seed, Number.parseInt(name.slice(7), 10)) : random
      const folder = `${project}/node_modules/${random.below(6) === 0 ? '@scope/' : ''}${name}`
      add(`${folder}/package.json`, { kind: 'json', extension: 'json', medianBytes: 1400, sigma: 0.5 }, own)
      files.set(`${folder}/LICENSE`, {
        ...fileOf(`${folder}/LICENSE`, 'markdown'),
        sizeBytes: 1066 + (own.below(8) << 4),
        seed: 1988,
      })
      const inside = ['lib', 'dist', 'dist/esm', 'build/internal', 'src'][own.below(5)]!
      made += 2
      for (let more = 4 + own.below(36); more > 0; more--, made++) {
        const shape = packageShapes[own.below(packageShapes.length)]!
        add(`${folder}/${inside}/${inventName(own)}-${more}.${shape.extension}`, shape, own)
      }
      if (own.below(40) === 0)
        files.set(`${folder}/.npmignore`, { ...fileOf(`${folder}/.npmignore`, 'markdown'), sizeBytes: 0 })
      if (own.below(12) === 0) {
        const link = `${project}/node_modules/.bin/${name}`
        symbolicLinks.set(link, { path: link, target: `../${name}/dist/cli.js` })
      }
    }
  }
  const gitObjects = (project: string, count: number): void => {
    for (let i = 0; i < count; i++)
      add(`${project}/.git/objects/${hexName(2)}/${hexName(38)}`, gitObjectShape, random, 0o444)
  }

  return {
    files,
    symbolicLinks,
    hardLinks,
    fileOf,
    projects: () => {
      const count = Math.max(2, Math.min(24, scaled(24)))
      for (let i = 0; i < count; i++) {
        const project = `projects/${inventName(random)}-${i}`
        sources(project, Math.ceil(scaled(10_000) / count))
        if (i % 6 === 0) gitObjects(project, Math.ceil(scaled(5000) / Math.ceil(count / 6)))
        if (i % 2 === 0) packages(project, Math.ceil(scaled(27_500) / Math.ceil(count / 2)))
      }
    },
    documents: () => {
      const topics = [
        'letters',
        'Rechnungen',
        'reports',
        'notes',
        'Verträge',
        'invoices & receipts',
        '資料',
        'recipes',
        'manuals',
      ]
      for (let i = scaled(4000); i > 0; i--) {
        const shape = chosen(documentShapes)
        add(
          `documents/${2015 + random.below(11)}/${chosen(topics)}/${inventName(random, ' ')} ${i}.${shape.extension}`,
          shape,
        )
      }
    },
    mail: () => {
      for (let i = scaled(5000); i > 0; i--) {
        const folder = random.below(10) < 7 ? 'INBOX' : `Archive.${2018 + random.below(8)}`
        add(
          `mail/${folder}/cur/${1_600_000_000 + i * 977}.M${random.below(999_999)}P${i}.host:2,S`,
          mailShape,
          random,
          0o600,
        )
      }
    },
    logs: () => {
      const services = ['api', 'web', 'worker', 'postgres', 'nginx', 'auth', 'billing']
      for (let i = scaled(900); i > 0; i--) add(`var/log/${chosen(services)}/${inventName(random)}-${i}.log`, logShape)
      for (let i = scaled(600); i > 0; i--)
        add(`var/log/${chosen(services)}/old/${inventName(random)}-${i}.log.gz`, oldLogShape)
    },
    programs: () => {
      for (let i = scaled(1000); i > 0; i--)
        add(`usr/lib/x86_64-linux-gnu/lib${inventName(random)}${i}.so.${random.below(9)}`, libraryShape)
      for (let i = scaled(500); i > 0; i--) add(`usr/bin/${inventName(random)}-${i}`, libraryShape, random, 0o755)
      for (let i = scaled(40); i > 0; i--) {
        const target = [...files.keys()][files.size - 1 - random.below(Math.min(files.size, scaled(500)))]!
        const path = `usr/bin/link-${i}`
        hardLinks.set(path, { path, target })
      }
    },
    photos: () => {
      for (let i = scaled(2000); i > 0; i--) {
        const month = String(1 + random.below(12)).padStart(2, '0')
        add(`photos/${2012 + random.below(14)}/${month}/IMG_${String(i).padStart(5, '0')}.jpg`, photoShape)
      }
    },
    records: () => {
      for (let i = scaled(4000); i > 0; i--) add(`data/records/${hexName(2)}/${hexName(24)}.json`, recordShape)
      for (let i = scaled(6); i > 0; i--) add(`data/databases/${inventName(random)}-${i}.db`, databaseShape)
    },
  }
}
