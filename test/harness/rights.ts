interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
}

/** Rights of a role that no request has used, as `verb resource`. */
export function unusedRights(
  rules: readonly Rule[],
  events: readonly { readonly verb: string; readonly resource: string; readonly subresource: string }[],
): readonly string[] {
  const used = new Set(
    events.map(
      ({ verb, resource, subresource }) => `${verb} ${resource}${subresource === '' ? '' : `/${subresource}`}`,
    ),
  );
  return rules
    .flatMap(({ resources, verbs }) => resources.flatMap((resource) => verbs.map((verb) => `${verb} ${resource}`)))
    .filter((right) => !used.has(right));
}
