/**
 * The models that can be pinned: GET /v1/models, asked for when a page that lists them is opened,
 * because providers come and go, and again where that failed.
 */

import { get } from './http.ts';
import { rested } from './line.ts';

interface Listed {
  data: { id: string; owned_by: string }[];
}

const AGAIN = 5_000; // milliseconds

class Models {
  /** `<provider>/<model>`, as `model` takes it; those known last until there are newer ones. */
  pinnable = $state.raw<string[]>([]);

  /** Ask for them; to be called when a list of them is opened. What it returns gives up. */
  load(): () => void {
    const leaving = new AbortController();
    void this.#load(leaving.signal);
    return () => leaving.abort();
  }

  async #load(signal: AbortSignal): Promise<void> {
    try {
      const { data } = await get<Listed>('/v1/models', signal);
      this.pinnable = data.map(({ id }) => id).filter((id) => id.includes('/'));
    } catch {
      // The list only helps choosing; whatever is wrong shows where a question is asked.
      await rested(AGAIN, signal);
      if (!signal.aborted) await this.#load(signal);
    }
  }
}

export const listed = new Models();
