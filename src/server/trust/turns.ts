/** Work of one name in turn, work of different names side by side: publishes to one collection take turns. */
export class Turns {
  /** The end of each name's queue; gone when the queue is empty. */
  private readonly ends = new Map<string, Promise<void>>();

  /** Runs work once all that was asked for before it, under this name, has ended in any way. */
  async take<T>(name: string, work: () => Promise<T>): Promise<T> {
    const before = this.ends.get(name) ?? Promise.resolve();
    const turn = before.then(work);
    const end = turn.then(
      () => undefined,
      () => undefined,
    );
    this.ends.set(name, end);
    try {
      return await turn;
    } finally {
      if (this.ends.get(name) === end) this.ends.delete(name);
    }
  }
}
