const WIRE_VERSIONS: Readonly<Record<string, number>> = { '6.0': 17, '7.0': 21, '8.0': 25, '8.1': 26, '8.2': 27 }

/** The version that a server says it has; what it can do follows from it. */
export class ServerVersion {
  readonly text: string
  readonly major: number
  readonly minor: number
  readonly patch: number

  /** @param text such as `7.0.18` */
  constructor(text: string) {
    this.text = text
    const [major = 0, minor = 0, patch = 0] = text.split('.').map(Number)
    this.major = major
    this.minor = minor
    this.patch = patch
  }

  get maxWireVersion(): number {
    const known = WIRE_VERSIONS[this.series]
    if (known === undefined) throw new Error(`the scripted server does not know MongoDB ${this.text}`)
    return known
  }

  /** Such as `7.0`: also the feature compatibility version of a server that was not upgraded. */
  get series(): string {
    return `${this.major}.${this.minor}`
  }

  isAtLeast(major: number, minor = 0, patch = 0): boolean {
    return this.#compare(major, minor, patch) >= 0
  }

  /** Whether inserts may leave an empty timestamp as it is: a fix that came to each series of its own. */
  get knowsBypassEmptyTsReplacement(): boolean {
    const { major, patch } = this
    return major >= 8 || (major === 7 && patch >= 13) || (major === 6 && patch >= 17) || (major === 5 && patch >= 29)
  }

  #compare(major: number, minor: number, patch: number): number {
    return this.major - major || this.minor - minor || this.patch - patch
  }
}
