import type { ComponentPattern } from './component-pattern.ts'
import type { Pattern } from './pattern.ts'

/**
 * A place that absolute patterns describe, counted from the root: a tree of their components up to the first `**`.
 * However many patterns there are, a walk follows only the places that agree with its path.
 *
 * A rule is the index of a pattern in its list; -1 is none.
 */
export interface AnchorPlace {
  readonly literal: Map<string, AnchorPlace>
  readonly wildcard: { readonly component: ComponentPattern; readonly place: AnchorPlace }[]
  /** The latest rule that is fulfilled here. */
  fulfilled: number
  /** The latest rule without `!` whose beginning ends here, so that anything below may match it. */
  opened: number
  /** The latest rule without `!` that leads through here or ends here. */
  latest: number
}

export const isAnchored = ({ absolute, segments }: Pattern): boolean =>
  absolute && segments.length > 0 && segments[0]!.components.length > 0

/** The root place of the patterns that say how a path begins. */
export function anchorPatterns(patterns: readonly Pattern[]): AnchorPlace {
  const root = newPlace()
  patterns.forEach((pattern, rule) => {
    if (!isAnchored(pattern)) return
    let place = root
    for (const component of pattern.segments[0]!.components) {
      if (!pattern.negated) place.latest = rule
      place = placeBelow(place, component)
    }
    if (!pattern.negated) {
      place.latest = rule
      place.opened = rule
    }
    if (pattern.segments.length === 1 && pattern.starCount < 2) place.fulfilled = rule
  })
  return root
}

/** Calls `visit` for the places under `places` that `name` leads to. */
export function placesAt(places: readonly AnchorPlace[], name: string, visit: (place: AnchorPlace) => void): void {
  for (const place of places) {
    const literal = place.literal.get(name)
    if (literal !== undefined) visit(literal)
    for (const branch of place.wildcard) if (branch.component.test(name)) visit(branch.place)
  }
}

const newPlace = (): AnchorPlace => ({ literal: new Map(), wildcard: [], fulfilled: -1, opened: -1, latest: -1 })

function placeBelow(place: AnchorPlace, component: ComponentPattern): AnchorPlace {
  const known = component.literal === undefined ? undefined : place.literal.get(component.literal)
  if (known !== undefined) return known
  const below = newPlace()
  if (component.literal === undefined) place.wildcard.push({ component, place: below })
  else place.literal.set(component.literal, below)
  return below
}
