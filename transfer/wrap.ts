/** `inner` with some of its members replaced: for storages, sources and sinks that do a little more. */
export function wrap<T extends object>(inner: T, members: Partial<T>): T {
  return new Proxy(inner, {
    get(target, name) {
      if (name in members) return Reflect.get(members, name) as unknown;
      const value: unknown = Reflect.get(target, name);
      // Methods keep their own object: they may use private fields.
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}
