// JupyterLab's packages are ES modules: they are compiled along, with what they import.
const esModules = ['@jupyterlab/', '@lumino/', '@jupyter/', 'lib0', 'y-protocols', 'yjs', 'uuid'];

module.exports = {
  testEnvironment: 'jsdom',
  // The usual five seconds say something of the machine, and nothing of the code.
  testTimeout: 120_000,
  testMatch: ['<rootDir>/src/**/*.test.(ts|tsx)'],
  moduleNameMapper: { '\\.(css|svg)$': '<rootDir>/jest.empty.js' },
  transform: {
    // Only translated: `jlpm lint` looks at the types.
    '\\.(ts|tsx|js|mjs)$': [
      'ts-jest',
      {
        tsconfig: {
          allowJs: true,
          esModuleInterop: true,
          isolatedModules: true,
          jsx: 'react',
          module: 'commonjs',
          target: 'ES2022'
        }
      }
    ]
  },
  transformIgnorePatterns: [`/node_modules/(?!(${esModules.join('|')}))`]
};
