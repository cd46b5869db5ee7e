export async function demo(_options: { configFile: string }): Promise<void> {}
