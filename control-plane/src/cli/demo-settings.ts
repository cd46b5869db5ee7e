/** Where the demo's simulated Retell listens. */
export interface DemoRetell {
  host: string;
  sipPort: number;
  httpPort: number;
}

/** Its ports can be moved by the environment variables that config.demo.yaml names too. */
export function demoRetell(env: NodeJS.ProcessEnv = process.env): DemoRetell {
  return {
    host: '127.0.0.2',
    sipPort: Number(env.DEMO_RETELL_SIP_PORT ?? 5080),
    httpPort: Number(env.DEMO_RETELL_HTTP_PORT ?? 8090),
  };
}
