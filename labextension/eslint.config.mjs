import tseslint from 'typescript-eslint';

export default tseslint.config(
  { ignores: ['src/ngram.ts'] },
  ...tseslint.configs.strict,
  {
    files: ['src/**/*.{ts,tsx}'],
    rules: {
      curly: 'error',
      eqeqeq: 'error',
      'no-console': 'error',
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
      '@typescript-eslint/explicit-function-return-type': ['error', { allowExpressions: true }],
      '@typescript-eslint/no-explicit-any': 'error',
      // A ref is set when its effect runs, and a token and its interface share a name.
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/no-redeclare': 'off',
      // JupyterLab's way to say "no options".
      '@typescript-eslint/no-extraneous-class': 'off'
    }
  }
);
