// Asks a neighbour under its name. The answer is always a value: `{ status, body }`, or `{}` for a neighbour that is away.
export async function ask(service, path, body) {
  try {
    const response = await fetch(`http://${service}:8080${path}`, {
      method: body ? "POST" : "GET",
      body: body && JSON.stringify(body),
      signal: AbortSignal.timeout(2000),
    });
    return { status: response.status, body: await response.json() };
  } catch {
    return {};
  }
}
