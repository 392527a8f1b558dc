/**
 * What a call gives that might have had to wait, and is through when it returns: who sees that it is this very
 * promise need not wait either. What goes on in the same turn saves promises, and memory that is held meanwhile.
 */
export const atOnce: Promise<void> = Promise.resolve();
