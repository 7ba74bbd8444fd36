// productpage's one metric, in the Prometheus text format.
export class RequestCounter {
  readonly #counts = new Map<string, number>();

  count(app: string, status: number): void {
    const labels = `destination_app="${app}",response_code="${status}"`;
    this.#counts.set(labels, (this.#counts.get(labels) ?? 0) + 1);
  }

  text(): string {
    const lines = [...this.#counts].map(([labels, count]) => `request_result_total{${labels}} ${count}`);
    return [
      "# HELP request_result_total Results of requests to other services",
      "# TYPE request_result_total counter",
      ...lines,
      "",
    ].join("\n");
  }
}
