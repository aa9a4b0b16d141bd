/** The models that can be pinned: GET /v1/models, asked for once and again where that failed. */

import { get } from './http.ts';

interface Listed {
  data: { id: string; owned_by: string }[];
}

class Models {
  /** `<provider>/<model>`, as `model` takes it. */
  pinnable = $state<string[]>([]);

  constructor() {
    void this.load();
  }

  async load(): Promise<void> {
    try {
      const { data } = await get<Listed>('/v1/models');
      this.pinnable = data.map(({ id }) => id).filter((id) => id.includes('/'));
    } catch {
      // The list only helps choosing; whatever is wrong shows where a question is asked.
      setTimeout(() => void this.load(), 5_000);
    }
  }
}

export const listed = new Models();
