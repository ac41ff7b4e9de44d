import { describe, expect, test } from 'vitest'
import { HoldfastError } from '../lib/errors.ts'
import { loadText, problemsIn } from './testing.ts'

const base = `version: 1
repositories:
  main: { url: /srv/main, password: env:KEY }
`
const twoRepositories = `${base}  second: { url: /srv/second, password: env:KEY }
`
const web = 'web: { type: files, paths: [/srv] }'

describe('each mistake is named with its line, its column and what is right', () => {
  test.each<[string, string, string]>([
    ['no version', 'repositories: {}\n', '1:1: version is missing'],
    ['another version', 'version: 2\n', '1:10: version must be 1'],
    ['an unknown key', `${base}source: {}\n`, '4:1: unknown key "source"; did you mean "sources"?'],
    [
      'an unknown key of a repository',
      `${base}  b: { url: /b, pasword: env:K, password: env:K }\n`,
      '4:17: unknown key "pasword" in repositories.b; did you mean "password"?',
    ],
    [
      'an unknown key of a source',
      `${base}sources:\n  web: { type: files, paths: [/a], excludes: [x] }\n`,
      '5:36: unknown key "excludes" in sources.web; did you mean "exclude"?',
    ],
    [
      'an unknown key near one that all sources have',
      `${base}sources:\n  web: { type: files, paths: [/a], verfy: none }\n`,
      '5:36: unknown key "verfy" in sources.web; did you mean "verify"?',
    ],
    [
      'an unknown key of hooks',
      `${base}sources:\n  web: { type: files, paths: [/a], hooks: { before: [[a]] } }\n`,
      '5:45: unknown key "before" in sources.web.hooks',
    ],
    [
      'a key of another form of the source',
      `${base}sources:\n  r: { type: redis, host: a, prt: 1 }\n`,
      '5:30: unknown key "prt" in sources.r; did you mean "port"?',
    ],
    [
      'a key that is missing',
      'version: 1\nrepositories:\n  main: { url: /a }\n',
      '3:3: repositories.main.password is missing',
    ],
    [
      'a key of the source that is missing',
      `${base}sources:\n  web: { type: files }\n`,
      '5:3: sources.web.paths is missing',
    ],
    [
      'a rule over several keys',
      `${base}sources:\n  db: { type: postgres }\n`,
      '5:3: sources.db.host is needed, or `url`',
    ],
    [
      'a wrong kind of value',
      `${base}sources:\n  db: { type: postgres, host: a, port: "5432" }\n`,
      '5:40: sources.db.port must be a number, not text',
    ],
    [
      'a number out of range',
      `${base}sources:\n  db: { type: postgres, host: a, port: 70000 }\n`,
      '5:40: sources.db.port must be at most 65535',
    ],
    [
      'an empty list',
      `${base}sources:\n  web: { type: files, paths: [] }\n`,
      '5:30: sources.web.paths must not be empty',
    ],
    [
      'a value within a list',
      `${base}sources:\n  web: { type: files, paths: [/a, b] }\n`,
      '5:35: sources.web.paths[1] must be an absolute path',
    ],
    ['a part without content', `${base}sources:\n`, '4:9: sources must be a map of keys, not nothing'],
    [
      'one of few words',
      `${base}defaults: { verify: checksums }\n`,
      '4:21: defaults.verify must be one of none, checksum, structure, restore, data; did you mean "checksum"?',
    ],
    [
      'a type that does not exist',
      `${base}sources:\n  db: { type: postgress }\n`,
      '5:15: there is no source type "postgress"; did you mean "postgres"?',
    ],
    ['no type', `${base}sources:\n  db: { host: a }\n`, '5:3: sources.db.type is missing'],
    [
      'a name with a dot before it',
      `${base}  .b: { url: /a, password: env:K }\n`,
      '4:3: ".b" is no name: letters, digits, "-", "_" and "." make one, and no dot begins it',
    ],
    ['a name with a slash', `${base}sources:\n  a/b: { type: files, paths: [/a] }\n`, '5:3: "a/b" is no name'],
    [
      'a repository that does not exist',
      `${base}defaults: { repositories: [mian] }\n`,
      '4:28: there is no repository "mian"; did you mean "main"?',
    ],
    [
      'a repository of a source that does not exist',
      `${base}sources:\n  web: { type: files, paths: [/a], repositories: [main, offsite] }\n`,
      '5:57: there is no repository "offsite"',
    ],
    [
      'a repository twice',
      `${base}defaults: { repositories: [main, main] }\n`,
      '4:34: defaults.repositories[1]: "main" is here a second time',
    ],
    [
      'no repository at all',
      `version: 1\nsources:\n  ${web}\n`,
      '3:3: source "web" has nowhere to go: no repository is configured',
    ],
    [
      'a choice of repositories',
      `${twoRepositories}sources:\n  ${web}\n`,
      '6:3: source "web" must name its repositories, since there are 2 and defaults.repositories names none',
    ],
    [
      'an assertion on nothing',
      `${base}sources:\n  ${web}\nassertions:\n  wbe: []\n`,
      '7:3: there is no source "wbe"; did you mean "web"?',
    ],
    [
      'an assertion without question',
      `${base}sources:\n  ${web}\nassertions:\n  web: [{ name: a, expect: value > 0 }]\n`,
      '7:9: assertions.web[0] must have exactly one of sql, aggregate, command, file',
    ],
    [
      'an assertion with two questions',
      `${base}sources:\n  ${web}\nassertions:\n  web: [{ name: a, expect: value > 0, sql: c, file: d }]\n`,
      '7:9: assertions.web[0] must have exactly one of sql, aggregate, command, file',
    ],
    [
      'a database of a command',
      `${base}sources:\n  ${web}\nassertions:\n  web: [{ name: a, expect: value > 0, command: [c], database: d }]\n`,
      '7:63: assertions.web[0].database goes with sql or aggregate only',
    ],
    [
      'an assertion that expects no expression',
      `${base}sources:\n  ${web}\nassertions:\n  web: [{ name: a, expect: count > 0, sql: c }]\n`,
      '7:28: assertions.web[0].expect is no expression over value, rows and now: Unknown variable: count',
    ],
    [
      'two assertions of one name',
      `${base}sources:\n  ${web}\nassertions:\n  web: [{ name: a, expect: value > 0, sql: c }, { name: a, expect: value > 0, sql: c }]\n`,
      '7:57: the name "a" is here a second time',
    ],
    [
      'a hook that is a shell line',
      `${base}sources:\n  web: { type: files, paths: [/a], hooks: { pre: [echo hello] } }\n`,
      '5:51: sources.web.hooks.pre[0] must be a list of a program and its arguments, as in [[program, argument]]',
    ],
  ])('%s', async (_, text, expected) => {
    const problems = await problemsIn(loadText(text))
    expect(problems).toHaveLength(1)
    expect(problems[0]).toContain(`holdfast.yaml:${expected}`)
  })
})

test('all problems are listed at once, from top to bottom', async () => {
  const text = `version: 1
repositories:
  main: { url: /srv/main, passwort: env:KEY }
sources:
  web: { type: files, pathes: [/a], repositories: [man] }
  web: { type: files, paths: [/a] }
  db: { type: postgrs }
colour: blue
`
  expect((await problemsIn(loadText(text))).map((line) => line.replace(/^holdfast\.yaml:|(; .*)$/g, ''))).toEqual([
    '3:3: repositories.main.password is missing',
    '3:27: unknown key "passwort" in repositories.main',
    '5:3: sources.web.paths is missing',
    '5:23: unknown key "pathes" in sources.web',
    '5:52: there is no repository "man"',
    '6:3: the key "web" is here a second time',
    '7:15: there is no source type "postgrs"',
    '8:1: unknown key "colour"',
  ])
})

test('the error says what to run next, and has no more to show than its message', async () => {
  const error = await loadText('version: 1\ncolour: blue\n').catch((refusal: unknown) => refusal)
  expect(error).toBeInstanceOf(HoldfastError)
  expect((error as HoldfastError).hint).toMatch(/run: holdfast config check --config .*holdfast\.yaml$/)
  expect((error as HoldfastError).message).not.toContain('\n')
})

test.each([
  ['where a reference belongs', 'password: hunter2'],
  ['as a wrong kind of value', 'password: [hunter2]'],
  ['beside a broken line', 'password: hunter2: x'],
  ['in an unfinished text', 'password: "hunter2'],
])('a secret in the wrong place is not repeated: %s', async (_, line) => {
  const problems = await problemsIn(loadText(`version: 1\nrepositories:\n  main:\n    url: /a\n    ${line}\n`))
  expect(problems.length).toBeGreaterThan(0)
  expect(problems.join()).not.toContain('hunter2')
})
